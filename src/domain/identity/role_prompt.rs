//! The prompt that tells a model about its role: the texts of `docs/roles`, with the names of this roster
//! filled in.
//!
//! Invariant: no text names a way to bypass the protection (`no_text_names_a_way_around`).

use crate::domain::identity::role::RoleKind;
use crate::domain::identity::roster::Member;
use crate::domain::policy::compiled::Policy;
use crate::domain::policy::mode::Mode;
use crate::domain::policy::ref_glob::RefGlob;

const COMMON: &str = include_str!("../../../docs/roles/common.md");
const SHARED: &str = include_str!("../../../docs/roles/shared.md");
const WORKTREES: &str = include_str!("../../../docs/roles/worktrees.md");

/// The text for each kind; the last one is for kinds that only a configuration knows.
const WORK: [(&str, &str); 8] = [
    ("orchestrator", include_str!("../../../docs/roles/orchestrator.md")),
    ("librarian", include_str!("../../../docs/roles/librarian.md")),
    ("planner", include_str!("../../../docs/roles/planner.md")),
    ("architect", include_str!("../../../docs/roles/architect.md")),
    ("dev", include_str!("../../../docs/roles/dev.md")),
    ("qa", include_str!("../../../docs/roles/qa.md")),
    ("docs", include_str!("../../../docs/roles/docs.md")),
    ("", include_str!("../../../docs/roles/other.md")),
];

/// Returns the whole text for a member of the roster.
#[must_use]
pub fn role_prompt(policy: &Policy, member: &Member) -> String {
    let roster = &policy.roster;
    let others: Vec<&Member> = roster.members().iter().filter(|other| other.role != member.role).collect();
    let named = |is_kind: fn(&RoleKind) -> bool| {
        let role = roster.first_of(is_kind).filter(|role| **role != member.role);
        role.map_or_else(|| "User".to_owned(), ToString::to_string)
    };
    let peer = others.iter().find(|other| other.kind == member.kind).map(|other| other.role.to_string());
    let librarian = named(RoleKind::is_librarian);
    let reviewer = peer.unwrap_or_else(|| librarian.clone());
    let list = match others.as_slice() {
        [] => "only the User".to_owned(),
        some => some.iter().map(|other| other.role.to_string()).collect::<Vec<_>>().join(", "),
    };
    let mode = match policy.mode {
        Mode::Shared => SHARED,
        Mode::Worktrees => WORKTREES,
    };
    let work = WORK.iter().find(|(kind, _)| *kind == member.kind.as_str()).or(WORK.last());
    let text = format!("{COMMON}\n{}", work.map_or("", |(_, text)| text)).replace("{mode}", mode.trim_end());
    let protect: Vec<&str> = policy.protect.iter().map(RefGlob::as_str).collect();
    [
        ("{role}", member.role.to_string()),
        ("{kind}", member.kind.to_string()),
        ("{count}", roster.members().len().to_string()),
        ("{others_count}", others.len().to_string()),
        ("{others}", list),
        ("{reviewer}", reviewer),
        ("{orchestrator}", named(RoleKind::is_orchestrator)),
        ("{librarian}", librarian),
        ("{protect}", protect.join(", ")),
    ]
    .into_iter()
    .fold(text, |text, (name, value)| text.replace(name, &value))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::identity::roster::Roster;

    #[test]
    fn every_name_is_filled_in_for_every_kind_and_mode() {
        for size in [1, 2, 12, 40] {
            let mut policy = Policy::of(Roster::of_size(size));
            for mode in [Mode::Shared, Mode::Worktrees] {
                policy.mode = mode;
                for member in policy.roster.members() {
                    let text = role_prompt(&policy, member);
                    assert!(!text.contains(['{', '}']), "{}: {text}", member.role);
                    assert!(text.contains(&format!("You are {}", member.role)), "{text}");
                    assert!(text.contains("cmw-send") && text.contains("SYSTEM_FREEZE"), "{text}");
                    assert!(text.len() < 8_000, "{} costs {} bytes of each context", member.role, text.len());
                }
            }
        }
    }

    #[test]
    fn no_text_names_a_way_around() {
        let all = [COMMON, SHARED, WORKTREES].into_iter().chain(WORK.iter().map(|(_, text)| *text));
        for text in all {
            let lower = text.to_lowercase();
            for way in ["verify", "hookspath", "break-glass", "update-ref", "cmw_", "claude_role"] {
                assert!(!lower.contains(way), "{way} in {text}");
            }
        }
    }
}
