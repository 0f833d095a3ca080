//! The attribute numbers of the RFCs, in their order.

use super::AttrType;

macro_rules! attr_types {
    ($($(#[$doc:meta])* $name:ident = $number:literal, $text:literal;)*) => {
        impl AttrType {
            $($(#[$doc])* pub const $name: Self = Self($number);)*

            /// As the RFCs spell it, if it is one of the constants here.
            pub const fn name(self) -> Option<&'static str> {
                match self {
                    $(Self::$name => Some($text),)*
                    Self(_) => None,
                }
            }
        }
    };
}

attr_types! {
    /// Text. RFC 2865 §5.1.
    USER_NAME = 1, "User-Name";
    /// Hidden, see [`crate::password`]. RFC 2865 §5.2.
    USER_PASSWORD = 2, "User-Password";
    /// 17 octets. RFC 2865 §5.3.
    CHAP_PASSWORD = 3, "CHAP-Password";
    /// IPv4. RFC 2865 §5.4.
    NAS_IP_ADDRESS = 4, "NAS-IP-Address";
    /// Integer. RFC 2865 §5.5.
    NAS_PORT = 5, "NAS-Port";
    /// Integer. RFC 2865 §5.6.
    SERVICE_TYPE = 6, "Service-Type";
    /// Integer. RFC 2865 §5.7.
    FRAMED_PROTOCOL = 7, "Framed-Protocol";
    /// IPv4. RFC 2865 §5.8.
    FRAMED_IP_ADDRESS = 8, "Framed-IP-Address";
    /// IPv4. RFC 2865 §5.9.
    FRAMED_IP_NETMASK = 9, "Framed-IP-Netmask";
    /// Integer. RFC 2865 §5.10.
    FRAMED_ROUTING = 10, "Framed-Routing";
    /// Text. RFC 2865 §5.11.
    FILTER_ID = 11, "Filter-Id";
    /// Integer. RFC 2865 §5.12.
    FRAMED_MTU = 12, "Framed-MTU";
    /// Integer. RFC 2865 §5.13.
    FRAMED_COMPRESSION = 13, "Framed-Compression";
    /// IPv4. RFC 2865 §5.14.
    LOGIN_IP_HOST = 14, "Login-IP-Host";
    /// Integer. RFC 2865 §5.15.
    LOGIN_SERVICE = 15, "Login-Service";
    /// Integer. RFC 2865 §5.16.
    LOGIN_TCP_PORT = 16, "Login-TCP-Port";
    /// Text for the person who logs in. RFC 2865 §5.18.
    REPLY_MESSAGE = 18, "Reply-Message";
    /// Text. RFC 2865 §5.19.
    CALLBACK_NUMBER = 19, "Callback-Number";
    /// Text. RFC 2865 §5.20.
    CALLBACK_ID = 20, "Callback-Id";
    /// Text. RFC 2865 §5.22.
    FRAMED_ROUTE = 22, "Framed-Route";
    /// Integer. RFC 2865 §5.23.
    FRAMED_IPX_NETWORK = 23, "Framed-IPX-Network";
    /// Octets that come back with the answer to a challenge. RFC 2865 §5.24.
    STATE = 24, "State";
    /// Octets that come back in accounting. RFC 2865 §5.25.
    CLASS = 25, "Class";
    /// Vendor, number, value: see [`super::vendor`]. RFC 2865 §5.26.
    VENDOR_SPECIFIC = 26, "Vendor-Specific";
    /// Seconds. RFC 2865 §5.27.
    SESSION_TIMEOUT = 27, "Session-Timeout";
    /// Seconds. RFC 2865 §5.28.
    IDLE_TIMEOUT = 28, "Idle-Timeout";
    /// Integer. RFC 2865 §5.29.
    TERMINATION_ACTION = 29, "Termination-Action";
    /// Text, often a MAC address. RFC 2865 §5.30.
    CALLED_STATION_ID = 30, "Called-Station-Id";
    /// Text, often a MAC address. RFC 2865 §5.31.
    CALLING_STATION_ID = 31, "Calling-Station-Id";
    /// Text. RFC 2865 §5.32.
    NAS_IDENTIFIER = 32, "NAS-Identifier";
    /// Octets that a proxy wants back, in order. RFC 2865 §5.33.
    PROXY_STATE = 33, "Proxy-State";
    /// Text. RFC 2865 §5.34.
    LOGIN_LAT_SERVICE = 34, "Login-LAT-Service";
    /// Text. RFC 2865 §5.35.
    LOGIN_LAT_NODE = 35, "Login-LAT-Node";
    /// Octets. RFC 2865 §5.36.
    LOGIN_LAT_GROUP = 36, "Login-LAT-Group";
    /// Integer. RFC 2865 §5.37.
    FRAMED_APPLETALK_LINK = 37, "Framed-AppleTalk-Link";
    /// Integer. RFC 2865 §5.38.
    FRAMED_APPLETALK_NETWORK = 38, "Framed-AppleTalk-Network";
    /// Text. RFC 2865 §5.39.
    FRAMED_APPLETALK_ZONE = 39, "Framed-AppleTalk-Zone";
    /// See [`crate::accounting::Status`]. RFC 2866 §5.1.
    ACCT_STATUS_TYPE = 40, "Acct-Status-Type";
    /// Seconds. RFC 2866 §5.2.
    ACCT_DELAY_TIME = 41, "Acct-Delay-Time";
    /// Octets from the subscriber, low 32 bits. RFC 2866 §5.3.
    ACCT_INPUT_OCTETS = 42, "Acct-Input-Octets";
    /// Octets to the subscriber, low 32 bits. RFC 2866 §5.4.
    ACCT_OUTPUT_OCTETS = 43, "Acct-Output-Octets";
    /// Text. RFC 2866 §5.5.
    ACCT_SESSION_ID = 44, "Acct-Session-Id";
    /// Integer. RFC 2866 §5.6.
    ACCT_AUTHENTIC = 45, "Acct-Authentic";
    /// Seconds. RFC 2866 §5.7.
    ACCT_SESSION_TIME = 46, "Acct-Session-Time";
    /// Integer. RFC 2866 §5.8.
    ACCT_INPUT_PACKETS = 47, "Acct-Input-Packets";
    /// Integer. RFC 2866 §5.9.
    ACCT_OUTPUT_PACKETS = 48, "Acct-Output-Packets";
    /// Integer. RFC 2866 §5.10.
    ACCT_TERMINATE_CAUSE = 49, "Acct-Terminate-Cause";
    /// Text. RFC 2866 §5.11.
    ACCT_MULTI_SESSION_ID = 50, "Acct-Multi-Session-Id";
    /// Integer. RFC 2866 §5.12.
    ACCT_LINK_COUNT = 51, "Acct-Link-Count";
    /// High 32 bits of the input octets. RFC 2869 §5.1.
    ACCT_INPUT_GIGAWORDS = 52, "Acct-Input-Gigawords";
    /// High 32 bits of the output octets. RFC 2869 §5.2.
    ACCT_OUTPUT_GIGAWORDS = 53, "Acct-Output-Gigawords";
    /// Seconds since 1970. RFC 2869 §5.3.
    EVENT_TIMESTAMP = 55, "Event-Timestamp";
    /// Integer. RFC 4675 §2.1.
    EGRESS_VLANID = 56, "Egress-VLANID";
    /// Integer. RFC 4675 §2.2.
    INGRESS_FILTERS = 57, "Ingress-Filters";
    /// A digit and text. RFC 4675 §2.3.
    EGRESS_VLAN_NAME = 58, "Egress-VLAN-Name";
    /// 8 octets. RFC 4675 §2.4.
    USER_PRIORITY_TABLE = 59, "User-Priority-Table";
    /// Octets; without it the Request Authenticator is the challenge. RFC 2865 §5.40.
    CHAP_CHALLENGE = 60, "CHAP-Challenge";
    /// Integer. RFC 2865 §5.41.
    NAS_PORT_TYPE = 61, "NAS-Port-Type";
    /// Integer. RFC 2865 §5.42.
    PORT_LIMIT = 62, "Port-Limit";
    /// Text. RFC 2865 §5.43.
    LOGIN_LAT_PORT = 63, "Login-LAT-Port";
    /// Tag and integer. RFC 2868 §3.1.
    TUNNEL_TYPE = 64, "Tunnel-Type";
    /// Tag and integer. RFC 2868 §3.2.
    TUNNEL_MEDIUM_TYPE = 65, "Tunnel-Medium-Type";
    /// Tag and text. RFC 2868 §3.3.
    TUNNEL_CLIENT_ENDPOINT = 66, "Tunnel-Client-Endpoint";
    /// Tag and text. RFC 2868 §3.4.
    TUNNEL_SERVER_ENDPOINT = 67, "Tunnel-Server-Endpoint";
    /// Text. RFC 2867 §4.1.
    ACCT_TUNNEL_CONNECTION = 68, "Acct-Tunnel-Connection";
    /// Tag and salt-encrypted text, see [`crate::salted`]. RFC 2868 §3.5.
    TUNNEL_PASSWORD = 69, "Tunnel-Password";
    /// 16 octets. RFC 2869 §5.4.
    ARAP_PASSWORD = 70, "ARAP-Password";
    /// 14 octets. RFC 2869 §5.5.
    ARAP_FEATURES = 71, "ARAP-Features";
    /// Integer. RFC 2869 §5.6.
    ARAP_ZONE_ACCESS = 72, "ARAP-Zone-Access";
    /// Integer. RFC 2869 §5.7.
    ARAP_SECURITY = 73, "ARAP-Security";
    /// Octets. RFC 2869 §5.8.
    ARAP_SECURITY_DATA = 74, "ARAP-Security-Data";
    /// Integer. RFC 2869 §5.9.
    PASSWORD_RETRY = 75, "Password-Retry";
    /// Integer. RFC 2869 §5.10.
    PROMPT = 76, "Prompt";
    /// Text. RFC 2869 §5.11.
    CONNECT_INFO = 77, "Connect-Info";
    /// Text. RFC 2869 §5.12.
    CONFIGURATION_TOKEN = 78, "Configuration-Token";
    /// A part of an EAP packet. RFC 3579 §3.1.
    EAP_MESSAGE = 79, "EAP-Message";
    /// 16 octets, see [`crate::authenticator`]. RFC 3579 §3.2.
    MESSAGE_AUTHENTICATOR = 80, "Message-Authenticator";
    /// Text. RFC 2868 §3.6.
    TUNNEL_PRIVATE_GROUP_ID = 81, "Tunnel-Private-Group-Id";
    /// Tag and text. RFC 2868 §3.7.
    TUNNEL_ASSIGNMENT_ID = 82, "Tunnel-Assignment-Id";
    /// Tag and integer. RFC 2868 §3.8.
    TUNNEL_PREFERENCE = 83, "Tunnel-Preference";
    /// 8 octets. RFC 2869 §5.15.
    ARAP_CHALLENGE_RESPONSE = 84, "ARAP-Challenge-Response";
    /// Seconds, 60 or more. RFC 2869 §5.16.
    ACCT_INTERIM_INTERVAL = 85, "Acct-Interim-Interval";
    /// Integer. RFC 2867 §4.2.
    ACCT_TUNNEL_PACKETS_LOST = 86, "Acct-Tunnel-Packets-Lost";
    /// Text. RFC 2869 §5.17.
    NAS_PORT_ID = 87, "NAS-Port-Id";
    /// Text. RFC 2869 §5.18.
    FRAMED_POOL = 88, "Framed-Pool";
    /// Octets. RFC 4372.
    CHARGEABLE_USER_IDENTITY = 89, "Chargeable-User-Identity";
    /// Tag and text. RFC 2868 §3.9.
    TUNNEL_CLIENT_AUTH_ID = 90, "Tunnel-Client-Auth-Id";
    /// Tag and text. RFC 2868 §3.10.
    TUNNEL_SERVER_AUTH_ID = 91, "Tunnel-Server-Auth-Id";
    /// Text in parts, rules end with a zero octet. RFC 4849 §2.
    NAS_FILTER_RULE = 92, "NAS-Filter-Rule";
    /// 2 octets. RFC 7155 §4.2.4.
    ORIGINATING_LINE_INFO = 94, "Originating-Line-Info";
    /// IPv6. RFC 3162 §2.1.
    NAS_IPV6_ADDRESS = 95, "NAS-IPv6-Address";
    /// Interface identifier. RFC 3162 §2.2.
    FRAMED_INTERFACE_ID = 96, "Framed-Interface-Id";
    /// IPv6 prefix. RFC 3162 §2.3.
    FRAMED_IPV6_PREFIX = 97, "Framed-IPv6-Prefix";
    /// IPv6. RFC 3162 §2.4.
    LOGIN_IPV6_HOST = 98, "Login-IPv6-Host";
    /// Text. RFC 3162 §2.5.
    FRAMED_IPV6_ROUTE = 99, "Framed-IPv6-Route";
    /// Text. RFC 3162 §2.6.
    FRAMED_IPV6_POOL = 100, "Framed-IPv6-Pool";
    /// Integer. RFC 5176 §3.5.
    ERROR_CAUSE = 101, "Error-Cause";
    /// Octets. RFC 4072 §4.1.4.
    EAP_KEY_NAME = 102, "EAP-Key-Name";
    /// Text. RFC 5090 §3.1.
    DIGEST_RESPONSE = 103, "Digest-Response";
    /// Text. RFC 5090 §3.2.
    DIGEST_REALM = 104, "Digest-Realm";
    /// Text. RFC 5090 §3.3.
    DIGEST_NONCE = 105, "Digest-Nonce";
    /// Text. RFC 5090 §3.4.
    DIGEST_RESPONSE_AUTH = 106, "Digest-Response-Auth";
    /// Text. RFC 5090 §3.5.
    DIGEST_NEXTNONCE = 107, "Digest-Nextnonce";
    /// Text. RFC 5090 §3.6.
    DIGEST_METHOD = 108, "Digest-Method";
    /// Text. RFC 5090 §3.7.
    DIGEST_URI = 109, "Digest-URI";
    /// Text. RFC 5090 §3.8.
    DIGEST_QOP = 110, "Digest-Qop";
    /// Text. RFC 5090 §3.9.
    DIGEST_ALGORITHM = 111, "Digest-Algorithm";
    /// Text. RFC 5090 §3.10.
    DIGEST_ENTITY_BODY_HASH = 112, "Digest-Entity-Body-Hash";
    /// Text. RFC 5090 §3.11.
    DIGEST_CNONCE = 113, "Digest-CNonce";
    /// Text. RFC 5090 §3.12.
    DIGEST_NONCE_COUNT = 114, "Digest-Nonce-Count";
    /// Text. RFC 5090 §3.13.
    DIGEST_USERNAME = 115, "Digest-Username";
    /// Text. RFC 5090 §3.14.
    DIGEST_OPAQUE = 116, "Digest-Opaque";
    /// Text. RFC 5090 §3.15.
    DIGEST_AUTH_PARAM = 117, "Digest-Auth-Param";
    /// Text. RFC 5090 §3.16.
    DIGEST_AKA_AUTS = 118, "Digest-AKA-Auts";
    /// Text. RFC 5090 §3.17.
    DIGEST_DOMAIN = 119, "Digest-Domain";
    /// Text. RFC 5090 §3.18.
    DIGEST_STALE = 120, "Digest-Stale";
    /// Text. RFC 5090 §3.19.
    DIGEST_HA1 = 121, "Digest-HA1";
    /// Text. RFC 5090 §3.20.
    SIP_AOR = 122, "SIP-AOR";
    /// IPv6 prefix. RFC 4818.
    DELEGATED_IPV6_PREFIX = 123, "Delegated-IPv6-Prefix";
    /// 64 bits. RFC 5447 §4.2.5.
    MIP6_FEATURE_VECTOR = 124, "MIP6-Feature-Vector";
    /// IPv6 prefix as 17 octets. RFC 5447 §4.2.4.
    MIP6_HOME_LINK_PREFIX = 125, "MIP6-Home-Link-Prefix";
    /// A character for the name space, then text. RFC 5580 §4.1.
    OPERATOR_NAME = 126, "Operator-Name";
    /// Octets. RFC 5580 §4.2.
    LOCATION_INFORMATION = 127, "Location-Information";
    /// Octets. RFC 5580 §4.3.
    LOCATION_DATA = 128, "Location-Data";
    /// Octets. RFC 5580 §4.4.
    BASIC_LOCATION_POLICY_RULES = 129, "Basic-Location-Policy-Rules";
    /// Octets. RFC 5580 §4.5.
    EXTENDED_LOCATION_POLICY_RULES = 130, "Extended-Location-Policy-Rules";
    /// Integer, bits. RFC 5580 §4.6.
    LOCATION_CAPABLE = 131, "Location-Capable";
    /// Integer, bits. RFC 5580 §4.7.
    REQUESTED_LOCATION_INFO = 132, "Requested-Location-Info";
    /// Integer. RFC 5607 §6.1.
    FRAMED_MANAGEMENT = 133, "Framed-Management";
    /// Integer. RFC 5607 §6.2.
    MANAGEMENT_TRANSPORT_PROTECTION = 134, "Management-Transport-Protection";
    /// Text. RFC 5607 §6.3.
    MANAGEMENT_POLICY_ID = 135, "Management-Policy-Id";
    /// Integer. RFC 5607 §6.4.
    MANAGEMENT_PRIVILEGE_LEVEL = 136, "Management-Privilege-Level";
    /// Text, a domain name. RFC 6519 §4.
    DS_LITE_TUNNEL_NAME = 144, "DS-Lite-Tunnel-Name";
    /// IPv6. RFC 6911 §3.1.
    FRAMED_IPV6_ADDRESS = 168, "Framed-IPv6-Address";
    /// IPv6. RFC 6911 §3.2.
    DNS_SERVER_IPV6_ADDRESS = 169, "DNS-Server-IPv6-Address";
    /// IPv6 prefix. RFC 6911 §3.3.
    ROUTE_IPV6_INFORMATION = 170, "Route-IPv6-Information";
    /// Text. RFC 6911 §3.4.
    DELEGATED_IPV6_PREFIX_POOL = 171, "Delegated-IPv6-Prefix-Pool";
    /// Text. RFC 6911 §3.5.
    STATEFUL_IPV6_ADDRESS_POOL = 172, "Stateful-IPv6-Address-Pool";
    /// Numbers and values inside. RFC 6930 §4.1.
    IPV6_6RD_CONFIGURATION = 173, "IPv6-6rd-Configuration";
    /// Text. RFC 7268 §2.1.
    ALLOWED_CALLED_STATION_ID = 174, "Allowed-Called-Station-Id";
    /// Octets. RFC 7268 §2.2.
    EAP_PEER_ID = 175, "EAP-Peer-Id";
    /// Octets. RFC 7268 §2.3.
    EAP_SERVER_ID = 176, "EAP-Server-Id";
    /// Integer, 16 bits of it. RFC 7268 §2.4.
    MOBILITY_DOMAIN_ID = 177, "Mobility-Domain-Id";
    /// Seconds. RFC 7268 §2.5.
    PREAUTH_TIMEOUT = 178, "Preauth-Timeout";
    /// Octets. RFC 7268 §2.6.
    NETWORK_ID_NAME = 179, "Network-Id-Name";
    /// Octets, longer ones in parts. RFC 7268 §2.7.
    EAPOL_ANNOUNCEMENT = 180, "EAPoL-Announcement";
    /// Text, a MAC address. RFC 7268 §2.8.
    WLAN_HESSID = 181, "WLAN-HESSID";
    /// Integer. RFC 7268 §2.9.
    WLAN_VENUE_INFO = 182, "WLAN-Venue-Info";
    /// 2 or 3 characters. RFC 7268 §2.10.
    WLAN_VENUE_LANGUAGE = 183, "WLAN-Venue-Language";
    /// Text. RFC 7268 §2.11.
    WLAN_VENUE_NAME = 184, "WLAN-Venue-Name";
    /// Integer. RFC 7268 §2.12.
    WLAN_REASON_CODE = 185, "WLAN-Reason-Code";
    /// Integer: OUI and suite. RFC 7268 §2.13.
    WLAN_PAIRWISE_CIPHER = 186, "WLAN-Pairwise-Cipher";
    /// Integer: OUI and suite. RFC 7268 §2.14.
    WLAN_GROUP_CIPHER = 187, "WLAN-Group-Cipher";
    /// Integer: OUI and suite. RFC 7268 §2.15.
    WLAN_AKM_SUITE = 188, "WLAN-AKM-Suite";
    /// Integer: OUI and suite. RFC 7268 §2.16.
    WLAN_GROUP_MGMT_CIPHER = 189, "WLAN-Group-Mgmt-Cipher";
    /// Integer. RFC 7268 §2.17.
    WLAN_RF_BAND = 190, "WLAN-RF-Band";
    /// A number and its value. RFC 6929 §3.1.
    EXTENDED_ATTRIBUTE_1 = 241, "Extended-Attribute-1";
    /// A number and its value. RFC 6929 §3.2.
    EXTENDED_ATTRIBUTE_2 = 242, "Extended-Attribute-2";
    /// A number and its value. RFC 6929 §3.3.
    EXTENDED_ATTRIBUTE_3 = 243, "Extended-Attribute-3";
    /// A number and its value. RFC 6929 §3.4.
    EXTENDED_ATTRIBUTE_4 = 244, "Extended-Attribute-4";
    /// A number and a part of its value. RFC 6929 §3.5.
    EXTENDED_ATTRIBUTE_5 = 245, "Extended-Attribute-5";
    /// A number and a part of its value. RFC 6929 §3.6.
    EXTENDED_ATTRIBUTE_6 = 246, "Extended-Attribute-6";
}
