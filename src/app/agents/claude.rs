//! Starts Claude Code: writes a settings file with our hooks beside the user's and the text of the role, and
//! resumes the role's conversation.

use std::path::Path;

use serde_json::{Value, json};

use crate::domain::guard::retry_command::shell_quote;
use crate::domain::identity::role_prompt::role_prompt;
use crate::domain::identity::roster::Member;
use crate::domain::mail::agent_digest::{BUDGET_BYTES, BUDGET_BYTES_MIN};
use crate::domain::state::State;
use crate::store::health::clients;
use crate::store::layout;

use crate::adapters::git::Repo;
use crate::app::agents::launcher::Launcher;
use crate::app::agents::{LauncherAdditions, hook_program, write};
use crate::app::client::payload::EDITING;
use crate::app::error::{Failure, with_causes};
use crate::app::exit::Exit;
use crate::app::workspace::Context;

/// How long a waiter may wait, in seconds: a day, after which the next turn starts another one.
const WAITER_S: u32 = 86_400;
/// How long any other hook may take, in seconds; a longer one is hanging.
const HOOK_S: u32 = 30;
/// The first version that starts a hook without a shell, from `args`.
const WITHOUT_SHELL: (u32, u32, u32) = (2, 1, 140);
/// The first version that calls a hook once for several tools.
const WITH_BATCHES: (u32, u32, u32) = (2, 1, 120);
/// Commands of ours that need no permission prompt: they read, write messages, and acquire or release the
/// write lock. Commands that commit, or run other programs, are not among them.
const HARMLESS: [&str; 13] = [
    "cmw",
    "cmw why:*",
    "cmw since:*",
    "cmw-inbox:*",
    "cmw-send:*",
    "cmw-heartbeat:*",
    "cmw-audit log:*",
    "cmw-rescue list:*",
    "cmw-rescue show:*",
    "cmw-lock status:*",
    "cmw-lock queue:*",
    "cmw-lock acquire:*",
    "cmw-lock release:*",
];

/// Checks that its configured arguments and settings are compatible with ours.
///
/// # Errors
/// [`Failure`] (78) when they are not.
pub(crate) fn check(context: &Context<'_>, member: &Member, launcher: &Launcher) -> Result<(), Failure> {
    for (option, why) in [
        ("--settings", "cmw starts it with settings of its own; put yours into .claude/settings.local.json"),
        ("--bare", "it disables the hooks that deliver messages"),
    ] {
        if has(launcher, &[option]) {
            let what = format!("the command of {} has {option}: {why}", member.role);
            return Err(Failure::with_next_step(Exit::Config, what, "git config --get-regexp '^cmw\\.'"));
        }
    }
    budget(&context.repo).map(drop)
}

/// Returns whether one of these options is configured.
fn has(launcher: &Launcher, options: &[&str]) -> bool {
    launcher.args.iter().any(|arg| options.contains(&arg.split('=').next().unwrap_or(arg)))
}

/// Returns the arguments added to its command line.
///
/// # Errors
/// [`Failure`]: files cannot be written, or the configured arguments contradict ours (78).
pub(crate) fn prepare(
    context: &Context<'_>,
    state: &State,
    member: &Member,
    launcher: &Launcher,
    fresh: bool,
) -> Result<LauncherAdditions, Failure> {
    check(context, member, launcher)?;
    let dir = layout::client_dir(&member.role);
    let (settings, words) = (format!("{dir}/settings.json"), format!("{dir}/role.md"));
    let calls = HookCommands {
        program: hook_program()?,
        repo: text(context.repo.work_tree.as_ref().unwrap_or(&context.repo.common_dir))?,
        common_dir: text(&context.repo.common_dir)?,
        budget: budget(&context.repo)?,
        version: version(launcher),
    };
    write(context, &settings, &format!("{:#}\n", calls.settings()))?;
    write(context, &words, &role_prompt(&state.policy, member))?;
    let place = |file: &str| context.repo.common_dir.join(file).to_string_lossy().into_owned();
    let mut args = vec!["--settings".to_owned(), place(&settings)];
    if !has(launcher, &["--append-system-prompt-file", "--append-system-prompt"]) {
        args.extend(["--append-system-prompt-file".to_owned(), place(&words)]);
    }
    let chosen = has(launcher, &["--resume", "-r", "--continue", "-c", "--session-id", "--from-pr"]);
    if let Some(session) = former(context, member)?.filter(|_| !fresh && !chosen) {
        args.extend(["--resume".to_owned(), session]);
    }
    Ok(LauncherAdditions { args })
}

/// Returns the session that the role resumes: its last one, when its conversation still exists.
fn former(context: &Context<'_>, member: &Member) -> Result<Option<String>, Failure> {
    let client = clients::read(context.store.disk(), &member.role)?;
    let client = client.filter(|client| client.adapter == "claude");
    Ok(client.and_then(|client| {
        let there = client.transcript.is_some_and(|path| Path::new(&path).is_file());
        there.then_some(client.session)
    }))
}

/// Returns a directory of the repository as text: hooks get it as an argument, since the client may work
/// elsewhere for a while.
fn text(dir: &Path) -> Result<String, Failure> {
    dir.to_str().map(str::to_owned).ok_or_else(|| {
        Failure::with_next_step(Exit::Config, "the name of the repository's directory is not valid UTF-8", "")
    })
}

/// Returns how many bytes of messages are delivered at once (`cmw.client.budget`).
fn budget(repo: &Repo) -> Result<usize, Failure> {
    let config = repo
        .read_all()
        .map_err(|e| Failure::with_next_step(Exit::Config, with_causes(&e), "git config --list"))?;
    let Some(entry) = config.get("cmw.client.budget") else { return Ok(BUDGET_BYTES) };
    let bytes = entry.text().parse().ok().filter(|bytes| (BUDGET_BYTES_MIN..=64 << 10).contains(bytes));
    bytes.ok_or_else(|| {
        let what = format!("cmw.client.budget must be a number of bytes, {BUDGET_BYTES_MIN} to 65536");
        Failure::with_next_step(Exit::Config, what, "git config --unset cmw.client.budget")
    })
}

/// Returns the version that the program reports; `None` when it does not report one in time.
fn version(launcher: &Launcher) -> Option<(u32, u32, u32)> {
    let mut command = std::process::Command::new(&launcher.program);
    command.arg("--version");
    parse_version(&crate::adapters::os::process::output_within(command, 5_000)?)
}

fn parse_version(said: &str) -> Option<(u32, u32, u32)> {
    let mut numbers = said.split_whitespace().next()?.split('.').map(|part| part.parse().ok());
    Some((numbers.next()??, numbers.next()??, numbers.next()??))
}

/// The arguments of our hooks.
struct HookCommands {
    program: String,
    repo: String,
    common_dir: String,
    budget: usize,
    version: Option<(u32, u32, u32)>,
}

impl HookCommands {
    fn settings(&self) -> Value {
        let is_since = |first| self.version.is_none_or(|version| version >= first);
        let plain = |event: &str| json!([{"hooks": [self.hook(event)]}]);
        let waited = |event: &str| json!([{"hooks": [self.hook(event), self.waiter()]}]);
        let mut hooks = json!({
            "SessionStart": waited("SessionStart"),
            // No hook reports that the person interrupted a turn: one waiter runs from its beginning.
            "UserPromptSubmit": waited("UserPromptSubmit"),
            "PreToolUse": plain("PreToolUse"),
            "PostToolUse": [{"matcher": EDITING.join("|"), "hooks": [self.hook("PostToolUse")]}],
            "PostToolBatch": plain("PostToolBatch"),
            "Stop": waited("Stop"),
            "StopFailure": waited("StopFailure"),
            "Notification": plain("Notification"),
            "SessionEnd": plain("SessionEnd"),
        });
        if let Some(hooks) = hooks.as_object_mut().filter(|_| !is_since(WITH_BATCHES)) {
            hooks.remove("PostToolBatch");
            hooks.insert("PostToolUse".to_owned(), plain("PostToolUse"));
            hooks.insert("PostToolUseFailure".to_owned(), plain("PostToolUse"));
        }
        let allow: Vec<String> = HARMLESS.iter().map(|command| format!("Bash({command})")).collect();
        json!({"hooks": hooks, "permissions": {"allow": allow}})
    }

    fn hook(&self, event: &str) -> Value {
        let budget = self.budget.to_string();
        let args =
            ["claude", event, "--repo", &self.repo, "--common-dir", &self.common_dir, "--budget", &budget]
                .map(str::to_owned);
        let mut hook = json!({"type": "command", "timeout": HOOK_S});
        if self.version.is_none_or(|version| version >= WITHOUT_SHELL) {
            hook["command"] = json!(self.program);
            hook["args"] = json!(args);
        } else {
            let words: Vec<String> =
                [&self.program].into_iter().chain(&args).map(|word| shell_quote(word)).collect();
            hook["command"] = json!(format!("exec {}", words.join(" ")));
        }
        hook
    }

    fn waiter(&self) -> Value {
        let mut hook = self.hook("wait");
        hook["async"] = json!(true);
        hook["asyncRewake"] = json!(true);
        hook["timeout"] = json!(WAITER_S);
        hook
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(version: Option<(u32, u32, u32)>) -> Value {
        let (program, repo) = ("/opt/it's/cmw-hook".to_owned(), "/r x".to_owned());
        let common_dir = "/r x/.git".to_owned();
        HookCommands { program, repo, common_dir, budget: 2_048, version }.settings()["hooks"].clone()
    }

    #[test]
    fn hooks_are_called_as_each_version_can() {
        let new = settings(Some((2, 1, 330)));
        assert_eq!(new, settings(None));
        let stop = &new["Stop"][0]["hooks"];
        assert_eq!(
            stop[0]["args"],
            json!(["claude", "Stop", "--repo", "/r x", "--common-dir", "/r x/.git", "--budget", "2048"])
        );
        assert_eq!((&stop[1]["asyncRewake"], &stop[1]["timeout"]), (&json!(true), &json!(86_400)));
        assert_eq!(new["PostToolUse"][0]["matcher"], "Edit|Write|MultiEdit|NotebookEdit");
        let old = settings(Some((2, 1, 110)));
        let command = old["Stop"][0]["hooks"][0]["command"].as_str().unwrap();
        assert_eq!(
            command,
            "exec '/opt/it'\\''s/cmw-hook' claude Stop --repo '/r x' --common-dir '/r x/.git' --budget 2048"
        );
        assert!(old.get("PostToolBatch").is_none() && old["PostToolUse"][0].get("matcher").is_none());
        let between = settings(Some((2, 1, 130)));
        assert!(
            between.get("PostToolBatch").is_some() && between["Stop"][0]["hooks"][0].get("args").is_none()
        );
    }

    #[test]
    fn a_version_is_read() {
        assert_eq!(parse_version("2.1.330 (Claude Code)\n"), Some((2, 1, 330)));
        for odd in ["", "2.1", "x.y.z", "claude 2.1.3"] {
            assert_eq!(parse_version(odd), None, "{odd}");
        }
    }
}
