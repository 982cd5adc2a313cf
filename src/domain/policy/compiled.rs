//! The policy, compiled by `cmw-init` from configuration: all that hooks read of it.
//!
//! Hooks never read live git configuration: `git -c` must not weaken anything (docs/rules.md R5.1).

use serde::{Deserialize, Serialize};
use sha2::{Digest, Sha256};

use crate::domain::identity::role::RoleKind;
use crate::domain::identity::roster::Roster;
use crate::domain::policy::checks::{Check, Checks, Preset};
use crate::domain::policy::mode::{IdentityMode, Mode};
use crate::domain::policy::ref_glob::RefGlob;
use crate::domain::policy::settings::{HealthSettings, LockSettings};
use crate::domain::util::digest::hex;

/// The policy of a repository.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Policy {
    /// The way the instances share the repository.
    pub mode: Mode,
    /// The preset of the checks.
    pub preset: Preset,
    /// The level of each check.
    pub checks: Checks,
    /// The way an actor's identity is determined.
    pub identity: IdentityMode,
    /// The roles.
    pub roster: Roster,
    /// The integration branches, guarded in worktrees mode.
    pub protect: Vec<RefGlob>,
    /// The settings of the write lock.
    pub lock: LockSettings,
    /// The settings of restarts and alerts.
    #[serde(default, skip_serializing_if = "HealthSettings::is_default")]
    pub health: HealthSettings,
    /// The name of the tmux session.
    pub session: String,
    /// The command that panes run when their role names none; empty: the demo agent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub agent: Option<String>,
    /// The exact former value of `core.hooksPath`, to be restored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub former_hooks_path: Option<String>,
}

/// The integration branches when nothing is configured (docs/rules.md R11.1); `cmw-init` adds the
/// branch that is checked out.
const PROTECT: [&str; 3] = ["main", "master", "release/**"];

impl Policy {
    /// Returns the policy of a new repository: shared mode, preset `team`.
    #[must_use]
    pub fn of(roster: Roster) -> Self {
        let glob = |text: &&str| RefGlob::parse(text).expect("the defaults are globs");
        Self {
            mode: Mode::Shared,
            preset: Preset::Team,
            checks: Checks::of(Preset::Team),
            identity: IdentityMode::Environment,
            roster,
            protect: PROTECT.iter().map(glob).collect(),
            lock: LockSettings::default(),
            health: HealthSettings::default(),
            session: "claude-multi".to_owned(),
            agent: None,
            former_hooks_path: None,
        }
    }

    /// Describes in words what is less guarded than under a former policy; empty: nothing.
    #[must_use]
    pub fn weakens(&self, former: &Self) -> Vec<String> {
        let mut weaker = Vec::new();
        for check in Check::ALL {
            let (was, is) = (former.checks.level(check), self.checks.level(check));
            if is < was {
                weaker.push(format!("check {}: {} instead of {}", check.as_str(), is.as_str(), was.as_str()));
            }
        }
        if self.mode == Mode::Worktrees && former.mode == Mode::Shared {
            weaker.push("mode: the lock guards the integration branches only".to_owned());
        }
        if self.mode == Mode::Worktrees {
            let gone = former.protect.iter().filter(|glob| !self.protect.contains(glob));
            weaker.extend(gone.map(|glob| format!("{} is not protected any more", glob.as_str())));
        }
        if self.identity == IdentityMode::Environment && former.identity == IdentityMode::Ancestry {
            weaker.push("identity: CLAUDE_ROLE counts while no session is up".to_owned());
        }
        for member in self.roster.members() {
            let was = former.roster.kind(&member.role);
            if was.is_some_and(RoleKind::is_librarian) && !member.kind.is_librarian() {
                weaker.push(format!("{} is no librarian any more", member.role));
            }
            // A second orchestrator may take the lock from others; the first one is how a small team grows.
            let is_more = was.is_some() || former.roster.first_of(RoleKind::is_orchestrator).is_some();
            if member.kind.is_orchestrator() && is_more && !was.is_some_and(RoleKind::is_orchestrator) {
                weaker.push(format!("{} is an orchestrator now", member.role));
            }
        }
        if former.roster.first_of(RoleKind::is_librarian).is_some()
            && self.roster.first_of(RoleKind::is_librarian).is_none()
        {
            weaker.push("no role is a librarian any more".to_owned());
        }
        weaker
    }

    /// Returns the configuration keys whose meaning differs between two policies.
    #[must_use]
    pub fn differing_keys(&self, other: &Self) -> Vec<String> {
        let mut keys = Vec::new();
        let mut add = |key: &str, differs: bool| keys.extend(differs.then(|| key.to_owned()));
        add("cmw.mode", self.mode != other.mode);
        add("cmw.preset", self.preset != other.preset);
        for check in Check::ALL {
            let key = format!("cmw.check.{}", check.as_str());
            add(&key, self.checks.level(check) != other.checks.level(check));
        }
        add("cmw.identity", self.identity != other.identity);
        add("cmw.roles or cmw.role", self.roster != other.roster);
        add("cmw.agent", self.agent != other.agent);
        add("cmw.session", self.session != other.session);
        add("cmw.protect", self.protect != other.protect);
        let (mine, its) = (&self.lock, &other.lock);
        add("cmw.lock.lease", mine.lease_ms != its.lease_ms);
        add("cmw.lock.leaseMax", mine.lease_max_ms != its.lease_max_ms);
        add("cmw.lock.grace", mine.grace_ms != its.grace_ms);
        add("cmw.lock.ticket", mine.ticket_ms != its.ticket_ms);
        add("cmw.lock.offer", mine.offer_ms != its.offer_ms);
        add("cmw.lock.auto", mine.auto != its.auto);
        add("cmw.health.restart", self.health.restart != other.health.restart);
        add("cmw.notify.command", self.health.notify != other.health.notify);
        add("core.hooksPath", self.former_hooks_path != other.former_hooks_path);
        if keys.is_empty() && self != other {
            keys.push("settings of another version".to_owned());
        }
        keys
    }

    /// Returns a digest that changes with anything in the policy: 64 hex digits.
    #[must_use]
    pub fn digest(&self) -> String {
        let json = serde_json::to_vec(self).expect("a policy has only texts and numbers");
        hex(&Sha256::digest(&json))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::role::Role;
    use crate::domain::identity::roster::Member;

    #[test]
    fn a_lease_is_the_default_or_twice_the_estimate_within_the_cap() {
        let lock = LockSettings::default();
        assert_eq!(lock.lease_for(None), 300_000);
        assert_eq!(lock.lease_for(Some(60_000)), 300_000);
        assert_eq!(lock.lease_for(Some(400_000)), 800_000);
        assert_eq!(lock.lease_for(Some(u64::MAX)), 1_800_000);
    }

    #[test]
    fn what_is_less_guarded_is_named() {
        let team = Policy::of(Roster::of_size(4));
        assert_eq!(team.weakens(&team), Vec::<String>::new());
        let mut solo = team.clone();
        solo.checks = Checks::of(Preset::Solo);
        assert_eq!(solo.weakens(&team).len(), 3, "identity, role, claims");
        assert_eq!(team.weakens(&solo), Vec::<String>::new(), "stronger is not weaker");
        let (small, large) = (Policy::of(Roster::of_size(2)), Policy::of(Roster::of_size(12)));
        assert_eq!(small.weakens(&large), ["no role is a librarian any more"]);
        assert_eq!(large.weakens(&small), Vec::<String>::new(), "a team that grows");
        let mut two = large.clone();
        let mut members = large.roster.members().to_vec();
        let second = Role::parse("Boss").expect("a name");
        let kind = members[0].kind.clone();
        members.push(Member { role: second, kind, pane: 12, command: None });
        two.roster = Roster::new(members).expect("a roster");
        assert_eq!(two.weakens(&large), ["Boss is an orchestrator now"]);
        let mut open = team.clone();
        open.mode = Mode::Worktrees;
        open.protect.clear();
        assert_eq!(open.weakens(&team).len(), 1 + PROTECT.len());
        let mut strict = team.clone();
        strict.identity = IdentityMode::Ancestry;
        assert_eq!((strict.weakens(&team).len(), team.weakens(&strict).len()), (0, 1));
    }

    #[test]
    fn any_change_of_policy_changes_its_digest() {
        let policy = Policy::of(Roster::of_size(4));
        let mut other = policy.clone();
        other.lock.grace_ms += 1;
        assert_ne!(policy.digest(), other.digest());
        assert_eq!(policy.differing_keys(&other), ["cmw.lock.grace"]);
        assert_eq!(policy.differing_keys(&policy), Vec::<String>::new());
        assert_eq!(policy.digest(), policy.clone().digest());
        assert_eq!(policy.digest().len(), 64);
    }
}
