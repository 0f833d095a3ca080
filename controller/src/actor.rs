//! Who does something: what every verb is told and every audit row says.

use std::net::IpAddr;

use shared::id::{OperatorId, ResellerId, TenantId};
use uuid::Uuid;

use crate::{logins::Origin, operators::Role};

/// A member of staff in one tenant, somebody at its portal, or the command line on the controller's
/// own machine.
#[derive(Clone, Debug)]
pub struct Actor {
    pub tenant: TenantId,
    pub role: Role,
    /// None for the command line, the portal and the program itself.
    pub operator: Option<OperatorId>,
    /// What the program does on its own, by name.
    pub program: Option<&'static str>,
    /// Whose staff it is; none: the tenant's own.
    pub reseller: Option<ResellerId>,
    pub ip: Option<IpAddr>,
    pub request: Uuid,
}

impl Actor {
    /// Who sits at the machine and may read its files owns it.
    pub fn command_line(tenant: TenantId) -> Self {
        let role = if tenant == PLATFORM { Role::Platform } else { Role::Owner };
        let request = Uuid::now_v7();
        Self { tenant, role, operator: None, program: None, reseller: None, ip: None, request }
    }

    /// The program, at work on its own.
    pub fn program(tenant: TenantId, name: &'static str) -> Self {
        Self { role: Role::Owner, program: Some(name), ..Self::command_line(tenant) }
    }

    /// Somebody who has no login of staff.
    pub const fn portal(tenant: TenantId, origin: Origin) -> Self {
        let Origin { ip, request } = origin;
        let (role, ip) = (Role::Support, Some(ip));
        Self { tenant, role, operator: None, program: None, reseller: None, ip, request }
    }

    /// Somebody of the staff, who asks from somewhere.
    pub const fn staff(
        tenant: TenantId,
        role: Role,
        operator: OperatorId,
        reseller: Option<ResellerId>,
        origin: Origin,
    ) -> Self {
        let Origin { ip, request } = origin;
        let (operator, ip) = (Some(operator), Some(ip));
        Self { tenant, role, operator, program: None, reseller, ip, request }
    }

    /// As it stands in audit rows.
    pub fn name(&self) -> String {
        match (self.operator, self.program, self.ip) {
            (Some(operator), _, _) => operator.to_string(),
            (None, Some(program), _) => program.to_owned(),
            (None, None, Some(_)) => "portal".to_owned(),
            (None, None, None) => "command-line".to_owned(),
        }
    }
}

/// The tenant whose staff runs the platform. It has no subscribers.
pub const PLATFORM: TenantId = TenantId::from_uuid(Uuid::nil());
