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
    /// None for the command line and the portal.
    pub operator: Option<OperatorId>,
    /// Whose staff it is; none: the tenant's own.
    pub reseller: Option<ResellerId>,
    pub ip: Option<IpAddr>,
    pub request: Uuid,
}

impl Actor {
    /// Who sits at the machine and may read its files owns it.
    pub fn command_line(tenant: TenantId) -> Self {
        let role = if tenant == PLATFORM { Role::Platform } else { Role::Owner };
        Self { tenant, role, operator: None, reseller: None, ip: None, request: Uuid::now_v7() }
    }

    /// Somebody who has no login of staff.
    pub const fn portal(tenant: TenantId, origin: Origin) -> Self {
        let Origin { ip, request } = origin;
        let role = Role::Support;
        Self { tenant, role, operator: None, reseller: None, ip: Some(ip), request }
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
        Self { tenant, role, operator: Some(operator), reseller, ip: Some(ip), request }
    }

    /// As it stands in audit rows.
    pub fn name(&self) -> String {
        match (self.operator, self.ip) {
            (Some(operator), _) => operator.to_string(),
            (None, Some(_)) => "portal".to_owned(),
            (None, None) => "command-line".to_owned(),
        }
    }
}

/// The tenant whose staff runs the platform. It has no subscribers.
pub const PLATFORM: TenantId = TenantId::from_uuid(Uuid::nil());
