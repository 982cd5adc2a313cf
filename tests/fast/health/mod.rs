//! `cmw-heartbeat`: who is registered, and who lives.

mod heartbeat;
