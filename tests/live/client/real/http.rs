//! The part of HTTP that a client of the Messages API speaks: a request in, an answer out.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// What was asked for.
pub(crate) struct Asked {
    /// GET, HEAD, POST.
    pub(crate) method: String,
    /// The path, with what stands behind the `?`.
    pub(crate) path: String,
    /// The body, empty when there is none.
    pub(crate) body: Vec<u8>,
    /// Whether the connection ends with the answer.
    pub(crate) is_last: bool,
}

/// An answer.
#[derive(Clone, Debug)]
pub(crate) struct Reply {
    pub(crate) status: u16,
    pub(crate) kind: &'static str,
    /// Further headers.
    pub(crate) headers: Vec<(&'static str, String)>,
    pub(crate) body: String,
}

impl Reply {
    /// A JSON document.
    pub(crate) fn json(status: u16, body: &serde_json::Value) -> Self {
        Self { status, kind: "application/json", headers: Vec::new(), body: body.to_string() }
    }
}

/// The next request; nothing when the other side has closed the connection.
pub(crate) fn read(from: &mut BufReader<TcpStream>) -> std::io::Result<Option<Asked>> {
    let mut line = String::new();
    if from.read_line(&mut line)? == 0 {
        return Ok(None);
    }
    let mut words = line.split_ascii_whitespace();
    let (method, path) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let mut asked =
        Asked { method: method.to_owned(), path: path.to_owned(), body: Vec::new(), is_last: false };
    let mut length = 0;
    loop {
        let mut header = String::new();
        if from.read_line(&mut header)? == 0 || header.trim().is_empty() {
            break;
        }
        let (name, value) = header.split_once(':').unwrap_or_default();
        let value = value.trim();
        if name.eq_ignore_ascii_case("content-length") {
            length = value.parse().map_err(std::io::Error::other)?;
        } else if name.eq_ignore_ascii_case("connection") {
            asked.is_last = value.eq_ignore_ascii_case("close");
        } else if name.eq_ignore_ascii_case("transfer-encoding") {
            return Err(std::io::Error::other("a body in chunks is not understood"));
        }
    }
    asked.body.resize(length, 0);
    from.read_exact(&mut asked.body)?;
    Ok(Some(asked))
}

/// Answers; to HEAD without the body.
pub(crate) fn write(to: &mut TcpStream, asked: &Asked, reply: &Reply) -> std::io::Result<()> {
    let mut head = format!("HTTP/1.1 {} {}\r\n", reply.status, reason(reply.status));
    head.push_str(&format!("content-type: {}\r\ncontent-length: {}\r\n", reply.kind, reply.body.len()));
    for (name, value) in &reply.headers {
        head.push_str(&format!("{name}: {value}\r\n"));
    }
    head.push_str(if asked.is_last { "connection: close\r\n\r\n" } else { "connection: keep-alive\r\n\r\n" });
    if asked.method != "HEAD" {
        head.push_str(&reply.body);
    }
    to.write_all(head.as_bytes())?;
    to.flush()
}

fn reason(status: u16) -> &'static str {
    match status {
        200 => "OK",
        404 => "Not Found",
        429 => "Too Many Requests",
        _ => "Overloaded",
    }
}
