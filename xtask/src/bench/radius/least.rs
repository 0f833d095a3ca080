//! The least that a correct server does for a PAP login: one thread, one NAS, no policy, no
//! duplicates, nothing counted. A bound and not a server.

use std::{collections::HashMap, net::UdpSocket, sync::atomic::AtomicBool};

use radius::{
    AttrType, Code, Packet, Password, Secret, Writer,
    attr::{mikrotik, vendor::Vendor},
    authenticator::{MessageAuthenticator, message_authenticator},
};

use super::{
    SECRET, SUBSCRIBERS, echo,
    request::{password_of, username},
};

/// Until `stop`, or until the socket fails.
pub(super) fn serve(socket: &UdpSocket, stop: &AtomicBool) -> nix::Result<()> {
    let secret = Secret::new(SECRET.as_bytes());
    let subscribers: HashMap<String, String> =
        (0..SUBSCRIBERS).map(|at| (username(at), password_of(at))).collect();
    echo::answer(socket, stop, |datagram, buffer| {
        let request = Packet::decode(datagram).ok()?;
        if message_authenticator(&request, &secret) != MessageAuthenticator::Valid {
            return None;
        }
        let name = request.attr(AttrType::USER_NAME)?.text()?;
        let hidden = request.attr(AttrType::USER_PASSWORD)?;
        let typed = Password::reveal(hidden.value, request.authenticator(), &secret).ok()?;
        let is_right = subscribers.get(name).is_some_and(|it| typed.is(it.as_bytes()));
        let code = if is_right { Code::ACCESS_ACCEPT } else { Code::ACCESS_REJECT };
        let mut reply = Writer::reply(buffer, code, &request);
        reply
            .integer(AttrType::SESSION_TIMEOUT, 3600)
            .integer(AttrType::ACCT_INTERIM_INTERVAL, 60)
            .attr(AttrType::CLASS, &[0x5a; 16])
            .vendor(Vendor::MIKROTIK, mikrotik::RATE_LIMIT, b"5000k/10000k");
        Some(reply.sign(&secret).ok()?.len())
    })
}
