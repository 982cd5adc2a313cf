//! A scripted model ([`script`]) for real clients on this machine: keeps each request, client by client, and
//! fails when a test wants it to.
//!
//! A client is known by the first part of the path that it was given as the address of the API.

use std::collections::BTreeMap;
use std::io::BufReader;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::time::{Duration, Instant};

use cmw::adapters::os::clock;
use cmw::domain::util::time::WallTime;
use serde_json::{Value, json};

use super::http::{self, Asked, Reply};
use super::script::{self, Answer};

/// A part of what a model is told.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) struct Piece {
    /// Who says it: `user`, `system` (also what hooks add), `assistant`.
    pub(crate) role: String,
    /// Whether it is what a tool answered.
    pub(crate) is_result: bool,
    pub(crate) text: String,
}

/// A request of a client's conversation.
#[derive(Debug)]
pub(crate) struct Request {
    /// When it was there as a whole.
    pub(crate) at: Instant,
    /// The system prompt.
    pub(crate) system: String,
    /// All that was said so far.
    pub(crate) pieces: Vec<Piece>,
    /// What of it no earlier request of this client held.
    pub(crate) new: Vec<Piece>,
    /// The last message's whole text.
    pub(crate) last: String,
    /// Whether it is no turn of the conversation, but something on the side: no tools are offered.
    pub(crate) is_aside: bool,
    /// The status of the answer.
    pub(crate) status: u16,
}

impl Request {
    /// Whether something new in it contains this text.
    pub(crate) fn tells(&self, text: &str) -> bool {
        self.new.iter().any(|piece| piece.text.contains(text))
    }

    /// Whether a tool has answered this, other than in an earlier request.
    pub(crate) fn brings(&self, result: &str) -> bool {
        self.new.iter().any(|piece| piece.is_result && piece.text.contains(result))
    }

    /// All that is new in it.
    pub(crate) fn news(&self) -> String {
        joined(&self.new)
    }

    /// All that it says.
    pub(crate) fn all(&self) -> String {
        joined(&self.pieces)
    }
}

fn joined(pieces: &[Piece]) -> String {
    let shown = pieces.iter().map(|p| match p.is_result {
        true => format!("[result] {}", p.text),
        false => format!("[{}] {}", p.role, p.text),
    });
    shown.collect::<Vec<_>>().join("\n")
}

/// A way to fail.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Fault {
    /// 429: the limit of use is reached, for so long.
    Limit(Duration),
    /// 529: too much to do.
    Overloaded,
}

#[derive(Debug, Default)]
struct Client {
    requests: Vec<Arc<Request>>,
    faults: Vec<Fault>,
}

#[derive(Debug, Default)]
struct Shared {
    clients: Mutex<BTreeMap<String, Client>>,
    changed: Condvar,
    is_closing: AtomicBool,
    ids: AtomicU64,
}

/// The model; it ends with the test.
#[derive(Debug)]
pub(crate) struct Model {
    address: SocketAddr,
    shared: Arc<Shared>,
}

impl Model {
    /// Listens on a port of its own, on this machine only.
    pub(crate) fn start() -> Self {
        let listener = TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared::default());
        let mine = Arc::clone(&shared);
        std::thread::spawn(move || {
            for stream in listener.incoming() {
                if mine.is_closing.load(Ordering::Relaxed) {
                    return;
                }
                let shared = Arc::clone(&mine);
                // A client that goes away in the middle of its request is nothing to report.
                std::thread::spawn(move || stream.and_then(|stream| serve(stream, &shared)));
            }
        });
        Self { address, shared }
    }

    /// The address to give to clients, each of which adds its name.
    pub(crate) fn address(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers the next `n` requests of a client with a fault.
    pub(crate) fn fail(&self, client: &str, n: usize, fault: Fault) {
        let mut clients = self.shared.clients.lock().unwrap();
        clients.entry(client.to_owned()).or_default().faults = vec![fault; n];
    }

    /// The requests of a client's conversation so far, asides left out.
    pub(crate) fn requests(&self, client: &str) -> Vec<Arc<Request>> {
        let clients = self.shared.clients.lock().unwrap();
        let all = clients.get(client).map(|c| c.requests.clone()).unwrap_or_default();
        all.into_iter().filter(|request| !request.is_aside).collect()
    }

    /// How many requests of a client tell something new with this text.
    pub(crate) fn count_containing(&self, client: &str, text: &str) -> usize {
        self.requests(client).iter().filter(|request| request.tells(text)).count()
    }

    /// Waits for a request that is as wanted, or was already; else what there was, in short.
    pub(crate) fn wait_for(
        &self,
        client: &str,
        patience: Duration,
        is_wanted: impl Fn(&Request) -> bool,
    ) -> Result<Arc<Request>, String> {
        let until = Instant::now() + patience;
        let mut clients = self.shared.clients.lock().unwrap();
        loop {
            let all = clients.get(client).map(|c| c.requests.as_slice()).unwrap_or_default();
            let found = all.iter().find(|request| !request.is_aside && is_wanted(request));
            if let Some(found) = found {
                return Ok(Arc::clone(found));
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Err(overview(client, all));
            }
            clients = self.shared.changed.wait_timeout(clients, left).unwrap().0;
        }
    }

    /// What a client has asked, in short.
    pub(crate) fn overview(&self, client: &str) -> String {
        let clients = self.shared.clients.lock().unwrap();
        overview(client, clients.get(client).map(|c| c.requests.as_slice()).unwrap_or_default())
    }
}

impl Drop for Model {
    fn drop(&mut self) {
        self.shared.is_closing.store(true, Ordering::Relaxed);
        // The thread that accepts connections looks at it with the next one.
        let _ = TcpStream::connect(self.address);
    }
}

fn overview(client: &str, requests: &[Arc<Request>]) -> String {
    let mut text = format!("{client}: {} requests reached the model\n", requests.len());
    for (i, request) in requests.iter().enumerate() {
        let aside = if request.is_aside { ", an aside" } else { "" };
        text.push_str(&format!("--- {i}: answered {}{aside}; new in it:\n", request.status));
        for piece in &request.new {
            let short: String = piece.text.chars().take(600).collect();
            text.push_str(&format!(
                "[{}{}] {short}\n",
                piece.role,
                if piece.is_result { " result" } else { "" }
            ));
        }
    }
    text
}

/// Answers what comes over one connection.
fn serve(mut stream: TcpStream, shared: &Shared) -> std::io::Result<()> {
    stream.set_nodelay(true)?;
    let mut from = BufReader::new(stream.try_clone()?);
    while let Some(asked) = http::read(&mut from)? {
        let reply = reply(&asked, shared);
        http::write(&mut stream, &asked, &reply)?;
        if asked.is_last {
            break;
        }
    }
    Ok(())
}

fn reply(asked: &Asked, shared: &Shared) -> Reply {
    let path = asked.path.split('?').next().unwrap_or_default();
    let (client, path) = path.trim_start_matches('/').split_once('/').unwrap_or_default();
    if asked.method != "POST" {
        return Reply::json(200, &json!({}));
    }
    match path {
        "v1/messages" => {}
        "v1/messages/count_tokens" => return Reply::json(200, &json!({ "input_tokens": 100 })),
        _ => return Reply::json(404, &error("not_found_error", "there is nothing of that name")),
    }
    let body: Value = serde_json::from_slice(&asked.body).unwrap_or_default();
    let messages = body["messages"].as_array().cloned().unwrap_or_default();
    let is_aside = !body["tools"].as_array().is_some_and(|tools| tools.iter().any(|t| t["name"] == "Bash"));
    let fault = keep(client, &body, &messages, is_aside, shared);
    match fault {
        Some(fault) => failure(fault),
        None => {
            let mut answer = script::answer(&messages);
            if is_aside {
                answer.calls.clear();
            }
            std::thread::sleep(Duration::from_millis(answer.after_ms));
            let id = shared.ids.fetch_add(1, Ordering::Relaxed);
            success(id, &body, &answer)
        }
    }
}

/// Writes a request down, and tells how it is to fail.
fn keep(client: &str, body: &Value, messages: &[Value], is_aside: bool, shared: &Shared) -> Option<Fault> {
    let at = Instant::now();
    let pieces: Vec<Piece> = messages.iter().flat_map(pieces).collect();
    let mut clients = shared.clients.lock().unwrap();
    let client = clients.entry(client.to_owned()).or_default();
    let fault = if is_aside || client.faults.is_empty() { None } else { client.faults.pop() };
    // A piece may stand there several times: as often as it stood there before, it is not new.
    let before = client.requests.iter().rev().find(|request| request.is_aside == is_aside);
    let mut known: Vec<&Piece> = before.map(|request| request.pieces.iter().collect()).unwrap_or_default();
    let mut new = pieces.clone();
    new.retain(|piece| match known.iter().position(|k| *k == piece) {
        Some(i) => {
            known.swap_remove(i);
            false
        }
        None => piece.role != "assistant",
    });
    let last = messages
        .last()
        .map(|m| self::pieces(m).iter().map(|p| p.text.as_str()).collect::<Vec<_>>().join("\n"));
    let status = match fault {
        None => 200,
        Some(Fault::Limit(_)) => 429,
        Some(Fault::Overloaded) => 529,
    };
    let system =
        script::blocks(&body["system"]).iter().filter_map(script::text_of).collect::<Vec<_>>().join("\n");
    let last = last.unwrap_or_default();
    client.requests.push(Arc::new(Request { at, system, pieces, new, last, is_aside, status }));
    shared.changed.notify_all();
    fault
}

/// The texts of a message; of a call its input.
fn pieces(message: &Value) -> Vec<Piece> {
    let role = message["role"].as_str().unwrap_or_default();
    let piece = |block: &Value| {
        let is_result = block["type"] == "tool_result";
        let text = match block["type"].as_str() {
            Some("text") => block["text"].as_str().unwrap_or_default().to_owned(),
            Some("tool_result") => {
                let parts = script::blocks(&block["content"]);
                parts.iter().filter_map(script::text_of).collect::<Vec<_>>().join("\n")
            }
            Some("tool_use") => block["input"].to_string(),
            Some(_) | None => return None,
        };
        Some(Piece { role: role.to_owned(), is_result, text })
    };
    script::blocks(&message["content"]).iter().filter_map(piece).collect()
}

fn error(kind: &str, text: &str) -> Value {
    json!({ "type": "error", "error": { "type": kind, "message": text } })
}

fn failure(fault: Fault) -> Reply {
    match fault {
        Fault::Limit(duration) => {
            // The client gives up at once when it would have to wait for long.
            let until = WallTime(clock::now().wall.0 + i64::try_from(duration.as_millis()).unwrap());
            let text = format!("This request would exceed your account's rate limit until {until}");
            let mut reply = Reply::json(429, &error("rate_limit_error", &text));
            reply.headers.push(("retry-after", "3600".to_owned()));
            reply
        }
        Fault::Overloaded => Reply::json(529, &error("overloaded_error", "Overloaded")),
    }
}

/// An answer in the form that was asked for: as a stream of events, or whole.
fn success(id: u64, body: &Value, answer: &Answer) -> Reply {
    let calls = answer.calls.iter().enumerate().map(|(i, call)| {
        json!({ "type": "tool_use", "id": format!("toolu_{id}_{i}"), "name": call.tool, "input": call.input })
    });
    let mut content: Vec<Value> = calls.collect();
    let stop = if content.is_empty() { "end_turn" } else { "tool_use" };
    if content.is_empty() {
        content.push(json!({ "type": "text", "text": answer.words }));
    }
    let mut message = json!({
        "id": format!("msg_{id}"), "type": "message", "role": "assistant", "model": body["model"],
        "content": content, "stop_reason": stop, "stop_sequence": null,
        "usage": { "input_tokens": 10, "output_tokens": 10 },
    });
    if body["stream"] != true {
        return Reply::json(200, &message);
    }
    message["content"] = json!([]);
    message["stop_reason"] = Value::Null;
    let mut events = vec![json!({ "type": "message_start", "message": message })];
    for (i, block) in content.into_iter().enumerate() {
        let (empty, delta) = in_parts(block);
        events.push(json!({ "type": "content_block_start", "index": i, "content_block": empty }));
        events.push(json!({ "type": "content_block_delta", "index": i, "delta": delta }));
        events.push(json!({ "type": "content_block_stop", "index": i }));
    }
    let end = json!({ "stop_reason": stop, "stop_sequence": null });
    events.push(json!({ "type": "message_delta", "delta": end, "usage": { "output_tokens": 10 } }));
    events.push(json!({ "type": "message_stop" }));
    let lines =
        events.iter().map(|e| format!("event: {}\ndata: {e}\n\n", e["type"].as_str().unwrap_or_default()));
    Reply { status: 200, kind: "text/event-stream", headers: Vec::new(), body: lines.collect() }
}

/// A block as a stream brings it: first without what it says, then that.
fn in_parts(mut block: Value) -> (Value, Value) {
    if block["type"] == "text" {
        let text = block["text"].take();
        block["text"] = json!("");
        return (block, json!({ "type": "text_delta", "text": text }));
    }
    let input = block["input"].take().to_string();
    block["input"] = json!({});
    (block, json!({ "type": "input_json_delta", "partial_json": input }))
}
