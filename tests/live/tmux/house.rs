//! A session of fake clients, one of which is to be rung.

use std::path::PathBuf;
use std::time::Duration;

use cmw::adapters::tmux::doorbell::bell::{Doorbell, RingOutcome, RingRefusal};
use cmw::adapters::tmux::doorbell::prompt::Prompt;
use cmw::adapters::tmux::pane::PaneInfo;
use cmw::adapters::tmux::server::{Server, Tmux};
use cmw::domain::mail::id::MessageId;

use crate::tmux::fake_agent;
use crate::tmux::lab::{Lab, write_program};

/// A server with one fake client in the pane of each role, and the first of them to ring.
pub(crate) struct House {
    pub(crate) lab: Lab,
    pub(crate) panes: Vec<PaneInfo>,
    pub(crate) prompts: &'static [Prompt],
}

impl House {
    /// As many clients as there are looks; the bell is the first one's.
    pub(crate) fn new(prompts: &'static [Prompt], looks: &[&str]) -> Self {
        let lab = Lab::new();
        let mut spec = lab.session("s", looks.len());
        for (i, (pane, looks)) in spec.panes.iter_mut().zip(looks).enumerate() {
            (pane.command, pane.env) = fake_agent::command(looks, &lab.dir.path().join(i.to_string()));
        }
        let panes = lab.tmux.create(&spec).unwrap();
        let house = Self { lab, panes, prompts };
        for i in 0..looks.len() {
            // What the test program prints at its start is gone once the client has drawn itself.
            let is_drawn = |text: &str| !text.trim().is_empty() && !text.contains("running");
            house.lab.wait_for("the client", || is_drawn(&house.screen(i)));
        }
        house
    }

    pub(crate) fn screen(&self, i: usize) -> String {
        self.lab.raw(&["capture-pane", "-p", "-t", &self.id(i)])
    }

    pub(crate) fn id(&self, i: usize) -> String {
        self.panes[i].pane_id.to_string()
    }

    pub(crate) fn bell(&self) -> Doorbell {
        let pane = &self.panes[0];
        let id = MessageId::parse("01JCQ4K3M5N6P7R8S91A2B3C4D").unwrap();
        Doorbell::new(pane.pane_id, pane.pid, pane.role.clone().unwrap(), id, self.prompts)
    }

    pub(crate) fn ring(&self) -> RingOutcome {
        self.ring_by(&self.lab.tmux)
    }

    /// Whatever happened, no buffer is left.
    pub(crate) fn ring_by(&self, tmux: &Tmux) -> RingOutcome {
        let rung = tmux.ring(&self.bell()).unwrap();
        self.assert_no_buffer();
        rung
    }

    pub(crate) fn assert_no_buffer(&self) {
        assert_eq!(self.lab.raw(&["list-buffers"]), "", "a buffer stays behind");
    }

    pub(crate) fn noted(&self, i: usize, ending: &str) -> String {
        let path = self.lab.dir.path().join(i.to_string()).with_extension(ending);
        // A client that never read anything notes nothing.
        std::fs::read_to_string(path).unwrap_or_default()
    }

    /// The bell did not ring, and nothing at all reached the client.
    pub(crate) fn assert_untouched(&self, why: RingRefusal) {
        assert_eq!(self.ring(), RingOutcome::Not(why));
        self.assert_nothing_typed();
    }

    pub(crate) fn assert_nothing_typed(&self) {
        std::thread::sleep(Duration::from_millis(50));
        for i in 0..self.panes.len() {
            assert_eq!((self.noted(i, "read"), self.noted(i, "took")), (String::new(), String::new()), "{i}");
        }
    }

    /// The first client took exactly our line, once.
    pub(crate) fn assert_rung(&self, before: &str, after: &str) {
        let line = self.bell().line().to_owned();
        self.lab.wait_for("the line", || !self.noted(0, "took").is_empty());
        assert_eq!(self.noted(0, "took"), format!("{line}\n"));
        assert_eq!(self.noted(0, "read"), format!("{before}{line}{after}\r"));
    }

    /// A person attaches, in a terminal that is a pane of another session.
    pub(crate) fn a_person(&self) -> PaneInfo {
        let mut eyes = self.lab.session("eyes", 1);
        eyes.panes[0].command = vec!["env".into(), "-u".into(), "TMUX".into()];
        let attach = self.lab.tmux.attach_command("s", false).unwrap();
        eyes.panes[0].command.extend(attach.into_iter().map(|word| word.into_string().unwrap()));
        let panes = self.lab.tmux.create(&eyes).unwrap();
        self.lab.wait_for("the person", || !self.lab.raw(&["list-clients", "-t", "=s:"]).is_empty());
        panes[0].clone()
    }

    pub(crate) fn type_keys(&self, i: usize, keys: &str) {
        self.lab.raw(&["send-keys", "-t", &self.id(i), "-l", keys]);
        self.lab.wait_for("the keys", || self.noted(i, "read").ends_with(keys));
    }

    /// A way to tmux that does something in between: before its nth client, in words for tmux.
    pub(crate) fn meddler(&self, nth: u32, words: &str) -> Tmux {
        let counter = self.lab.dir.path().join("clients").display().to_string();
        let socket = self.lab.raw(&["display-message", "-p", "#{socket_path}"]);
        let socket = socket.trim();
        let script = format!(
            "echo x >> {counter}\nif [ $(wc -l < {counter}) = {nth} ]; then tmux -S {socket} {words}; sleep 0.2; fi\n\
             exec tmux -S {socket} \"$@\""
        );
        let program: PathBuf = self.lab.dir.path().join("meddler");
        write_program(&program, &script);
        Tmux::at(program, &Server::Default)
    }
}
