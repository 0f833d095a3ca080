//! The MQTT session with the controller: presence, journal, desired state, commands.
