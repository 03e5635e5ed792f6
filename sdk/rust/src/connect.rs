use crate::abi::{self, Record};
use crate::channel::answer;
use crate::error::Result;
use crate::host::effect;
use crate::json;
use crate::record::text;

/// A client that connects, and the id and assigns that it is to have.
pub struct Conn<'a> {
    /// Names the connection, and all others to which it is given, for
    /// [`disconnect`](crate::disconnect); "" for none. At most 255 bytes.
    pub id: String,
    /// For the channels of the connection, which get them by
    /// [`Socket::assigns`](crate::Socket::assigns): JSON or any other bytes.
    pub assigns: Vec<u8>,

    mount: String,
    info: &'a [u8],
}

impl Conn<'_> {
    /// The name of the socket that the client connects to, as the server's config has it: "socket" if
    /// that names none.
    pub fn mount(&self) -> &str {
        &self.mount
    }

    /// A JSON object of all that is known of the client. The other methods look things up in it.
    ///
    /// ```text
    /// params          the query's, nested: user[name]=x is {"user":{"name":"x"}}
    /// peer            address, port
    /// uri             scheme, host, port, path, query
    /// user_agent      text or null
    /// x_headers       and sec_websocket_headers, trace_context_headers: an object each
    /// auth_token      text or null
    /// claims          of the token, if the server has verified it, or null
    /// ```
    pub fn info(&self) -> &[u8] {
        self.info
    }

    /// A parameter of the client's, `None` if there is none or it is no text. That of `user[name]=x` is
    /// `param(&["user", "name"])`.
    pub fn param(&self, path: &[&str]) -> Option<String> {
        let params = json::raw(self.info, "params")?;
        json::unquote(path.iter().try_fold(params, |object, key| json::raw(object, key))?)
    }

    /// The authToken that the client gave by subprotocol.
    pub fn auth_token(&self) -> Option<String> {
        json::string(self.info, "auth_token")
    }

    /// The claims of the client's token, as a JSON object, if the server has verified it.
    pub fn claims(&self) -> Option<&[u8]> {
        json::raw(self.info, "claims").filter(|claims| *claims != b"null")
    }

    /// The header User-Agent.
    pub fn user_agent(&self) -> Option<String> {
        json::string(self.info, "user_agent")
    }

    /// A header whose name begins with X- or Sec-WebSocket-, Traceparent or Tracestate. All others
    /// are withheld, because a foreign page could make a browser send them.
    pub fn header(&self, name: &str) -> Option<String> {
        let name = name.to_ascii_lowercase();
        let groups = ["x_headers", "sec_websocket_headers", "trace_context_headers"];
        groups.iter().find_map(|group| json::string(json::raw(self.info, group)?, &name))
    }

    /// The address that the client connects from. Behind a trusted proxy it is the one that the proxy
    /// tells of.
    pub fn peer(&self) -> (String, u16) {
        let peer = json::raw(self.info, "peer").unwrap_or_default();
        let port = json::integer(peer, "port").unwrap_or(0);
        (json::string(peer, "address").unwrap_or_default(), port as u16)
    }

    /// The address that the client asked for: "ws://example.com:4000/socket/websocket?vsn=2.0.0".
    pub fn uri(&self) -> String {
        let uri = json::raw(self.info, "uri").unwrap_or_default();
        let part = |name| json::string(uri, name).unwrap_or_default();
        let host = part("host");
        let host = if host.contains(':') { ["[", &host, "]"].concat() } else { host }; // IPv6
        let port = json::raw(uri, "port").map_or(String::new(), |port| ":".to_string() + text(port));
        let query = part("query");
        let query = if query.is_empty() { query } else { "?".to_string() + &query };
        [&part("scheme"), "://", &host, &port, &part("path"), &query].concat()
    }
}

/// Handles the event connect.
pub(crate) fn decide(e: &Record, decide: &dyn Fn(&mut Conn) -> Result) -> Result {
    let mut c = Conn { id: String::new(), assigns: Vec::new(), mount: text(e.name).to_string(), info: e.payload };
    let decision = decide(&mut c);
    if decision.is_ok() {
        effect(&Record::new(abi::EFFECT_REPLY, "ok").payload(&c.assigns).detail(&c.id));
    }
    answer(decision)
}
