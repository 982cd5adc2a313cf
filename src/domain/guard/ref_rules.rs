//! The rules for refs: which movements need the write lock, and which must never be refused.
//!
//! Pure: the caller re-reads the current value of each ref (the old value on stdin is not trusted) and
//! decides about lock, freeze and claims; this module only classifies a movement. Source: docs/rules.md R11.1
//! and R11.2, docs/decisions.md D1.
//!
//! Invariants (each has a test of the same name):
//! * `what_must_never_be_refused_is_not_protected`
//! * `an_old_value_on_stdin_is_not_trusted`
//! * `an_unknown_current_value_never_opens_a_protected_ref`
//! * `a_prefix_of_another_work_tree_hides_nothing`

use crate::domain::audit::ref_ledger::WatchLevel;
use crate::domain::guard::git_ref::{Oid, RefName, RefTarget};
use crate::domain::guard::hook_input::RefLine;
use crate::domain::identity::role::Role;
use crate::domain::policy::mode::Mode;
use crate::domain::policy::ref_glob::RefGlob;

/// The ref that the live self-test tries to move: protected in both modes, and its refusal or
/// movement is no violation (docs/rules.md R6.6).
pub const SELF_TEST_REF: &str = "refs/heads/cmw-selftest";

/// Classifies a commit on this branch: the branch will move, to a commit that is not known yet.
#[must_use]
pub fn of_a_commit(branch: RefName, ctx: &RefContext<'_>) -> RefVerdict {
    let somewhere = Oid::parse(&[b'1'; 40]).expect("forty digits are an object id");
    let line = RefLine { old: RefTarget::Zero, new: RefTarget::from(somewhere), name: branch };
    classify(&line, &CurrentRef::default(), ctx)
}

/// The context of a whole transaction.
#[derive(Clone, Copy, Debug)]
pub struct RefContext<'a> {
    /// The role that moves the refs; `None` for User, System and unidentified processes.
    pub own_role: Option<&'a Role>,
    /// The mode of the repository.
    pub mode: Mode,
    /// The integration branches (`cmw.protect`).
    pub protect: &'a [RefGlob],
    /// Whether a deletion may be `git pack-refs` removing loose copies: the refs are files, and
    /// `packed-refs.lock` does not exist (a real deletion of a packed ref holds that lock).
    pub prune_possible: bool,
}

/// The current value of a ref, read while git holds its lock.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct CurrentRef {
    /// The value; `None` when it could not be read. Resolved through symbolic refs when the new
    /// value is an object; as it stands when the new value is symbolic or nothing.
    pub value: Option<RefTarget>,
    /// The value in `packed-refs`; needed only for a deletion with an old value.
    pub packed: Option<Oid>,
}

impl CurrentRef {
    /// Returns a value that was read.
    #[must_use]
    pub fn of(value: RefTarget) -> Self {
        Self { value: Some(value), packed: None }
    }
}

/// The kinds of refs that are never refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Harmless {
    /// Git's own book-keeping: remotes, stash, bisect, worktree, rewritten, prefetch, original.
    Git,
    /// `refs/cmw/**`: our snapshots and anchors; to be journaled (docs/decisions.md D1).
    Cmw,
    /// Any other namespace, such as `refs/pull/**`: docs/rules.md R11.2 protects none of them.
    Other,
}

/// The kinds of refs that are protected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Guarded {
    /// A branch that the mode protects.
    Branch,
    /// Another role's branch `agent/<other>/**` (docs/decisions.md D1), or one of no role.
    OthersBranch,
    /// The ref of the self-test.
    SelfTest,
    /// Movement or deletion of a tag.
    Tag,
    /// `refs/notes/**`.
    Notes,
    /// `refs/replace/**`.
    Replace,
    /// A symbolic ref outside the work trees' own `HEAD`s.
    Symref,
    /// A name outside `refs/` that is no pseudo ref.
    Other,
}

/// The classification of a ref movement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RefVerdict {
    /// `HEAD`, `ORIG_HEAD` and the like: private to a work tree.
    Pseudo,
    /// Never refused.
    Harmless(Harmless),
    /// The ref already has the new value.
    NoOp,
    /// `git pack-refs` removes a loose copy; the ref keeps its value.
    PackPrune,
    /// A new tag: never refused (fetch follows tags), journaled.
    TagCreation,
    /// `refs/heads/agent/<own role>/**`: needs no lock.
    OwnBranch,
    /// A branch that the mode does not protect: needs no lock.
    FreeBranch,
    /// Needs the write lock.
    Protected(Guarded),
}

impl RefVerdict {
    /// Whether it needs the write lock.
    #[must_use]
    pub fn needs_lock(self) -> bool {
        match self {
            Self::Protected(_) => true,
            Self::Pseudo
            | Self::Harmless(_)
            | Self::NoOp
            | Self::PackPrune
            | Self::TagCreation
            | Self::OwnBranch
            | Self::FreeBranch => false,
        }
    }

    /// Whether a freeze refuses it: every real movement of `refs/heads/**`, private branches included, and
    /// every other protected movement (docs/decisions.md D1, docs/rules.md I9).
    #[must_use]
    pub fn stops_when_frozen(self) -> bool {
        match self {
            Self::Protected(_) | Self::OwnBranch | Self::FreeBranch => true,
            Self::Pseudo | Self::Harmless(_) | Self::NoOp | Self::PackPrune | Self::TagCreation => false,
        }
    }

    /// Whether it must be refused when the ref journal cannot record it: an unrecorded movement of a ref that
    /// is compared with the journal would count as unauthorized.
    #[must_use]
    pub fn needs_record(self) -> bool {
        match self {
            Self::Protected(_) | Self::OwnBranch | Self::Harmless(Harmless::Cmw) => true,
            Self::Pseudo
            | Self::Harmless(Harmless::Git | Harmless::Other)
            | Self::NoOp
            | Self::PackPrune
            | Self::TagCreation
            | Self::FreeBranch => false,
        }
    }

    /// Whether the ref journal records it.
    #[must_use]
    pub fn is_journaled(self) -> bool {
        match self {
            Self::Protected(_)
            | Self::OwnBranch
            | Self::FreeBranch
            | Self::TagCreation
            | Self::Harmless(Harmless::Cmw | Harmless::Other) => true,
            Self::Pseudo | Self::Harmless(Harmless::Git) | Self::NoOp | Self::PackPrune => false,
        }
    }
}

/// The class of a ref by its name alone.
enum RefClass {
    Pseudo,
    Harmless(Harmless),
    OwnBranch,
    FreeBranch,
    Tag,
    Guarded(Guarded),
}

const GITS_OWN: [&str; 6] = [
    "refs/remotes/",
    "refs/bisect/",
    "refs/worktree/",
    "refs/rewritten/",
    "refs/prefetch/",
    "refs/original/",
];

/// Strips `main-worktree/` or `worktrees/<id>/`, which denote another work tree's ref; in front of a ref
/// that is not private to a work tree they may denote the shared one.
#[must_use]
pub fn without_worktree(name: &str) -> &str {
    if let Some(rest) = name.strip_prefix("main-worktree/") {
        return rest;
    }
    name.strip_prefix("worktrees/").and_then(|rest| rest.split_once('/')).map_or(name, |(_, rest)| rest)
}

/// Returns how closely the ref journal is compared with a ref, independent of the mover.
#[must_use]
pub fn watch(name: &RefName, mode: Mode, protect: &[RefGlob]) -> WatchLevel {
    let ctx = RefContext { own_role: None, mode, protect, prune_possible: false };
    match place(name, &ctx) {
        RefClass::Guarded(Guarded::SelfTest | Guarded::Other)
        | RefClass::Pseudo
        | RefClass::OwnBranch
        | RefClass::FreeBranch
        | RefClass::Harmless(Harmless::Git | Harmless::Other) => WatchLevel::No,
        RefClass::Tag => WatchLevel::OnceThere,
        RefClass::Harmless(Harmless::Cmw)
        | RefClass::Guarded(
            Guarded::Branch
            | Guarded::OthersBranch
            | Guarded::Notes
            | Guarded::Replace
            | Guarded::Tag
            | Guarded::Symref,
        ) => WatchLevel::Always,
    }
}

/// Returns a value as the ref journal writes it: empty for none, `ref:…` for a symbolic one.
#[must_use]
pub fn value_text(value: &RefTarget) -> String {
    match value {
        RefTarget::Zero => String::new(),
        RefTarget::Oid(oid) => oid.to_string(),
        RefTarget::Symref(name) => format!("ref:{}", name.as_str()),
    }
}

/// Returns the role that owns this branch: `refs/heads/agent/<role>/…`.
fn branch_role(name: &str) -> Option<&str> {
    let (role, rest) = name.strip_prefix("refs/heads/agent/")?.split_once('/')?;
    (!rest.is_empty()).then_some(role)
}

fn is_same_role(name: &str, own: &Role) -> bool {
    Role::parse(name).is_ok_and(|role| role.as_str().eq_ignore_ascii_case(own.as_str()))
}

fn place(name: &RefName, ctx: &RefContext<'_>) -> RefClass {
    let name = without_worktree(name.as_str());
    let is_below = |dir: &str| name.starts_with(dir);
    let is_caps = |b: u8| b.is_ascii_uppercase() || matches!(b, b'_' | b'-');
    if name.bytes().all(is_caps) {
        RefClass::Pseudo
    } else if name == "refs/stash" || GITS_OWN.into_iter().any(is_below) {
        RefClass::Harmless(Harmless::Git)
    } else if is_below("refs/cmw/") {
        RefClass::Harmless(Harmless::Cmw)
    } else if name == SELF_TEST_REF {
        RefClass::Guarded(Guarded::SelfTest)
    } else if is_below("refs/heads/agent/") || name == "refs/heads/agent" {
        let is_own = ctx.own_role.zip(branch_role(name)).is_some_and(|(own, role)| is_same_role(role, own));
        if is_own { RefClass::OwnBranch } else { RefClass::Guarded(Guarded::OthersBranch) }
    } else if is_below("refs/heads/") {
        match ctx.mode {
            Mode::Worktrees if !ctx.protect.iter().any(|glob| glob.matches(name)) => RefClass::FreeBranch,
            Mode::Worktrees | Mode::Shared => RefClass::Guarded(Guarded::Branch),
        }
    } else if is_below("refs/tags/") {
        RefClass::Tag
    } else if is_below("refs/notes/") {
        RefClass::Guarded(Guarded::Notes)
    } else if is_below("refs/replace/") {
        RefClass::Guarded(Guarded::Replace)
    } else if is_below("refs/") {
        RefClass::Harmless(Harmless::Other)
    } else {
        RefClass::Guarded(Guarded::Other)
    }
}

/// Classifies one line of a transaction. A transaction is judged as a whole: it is refused when one of its
/// lines is refused.
#[must_use]
pub fn classify(line: &RefLine, current: &CurrentRef, ctx: &RefContext<'_>) -> RefVerdict {
    let place = place(&line.name, ctx);
    // A work tree's HEAD may point to any ref: that is a checkout.
    if matches!(place, RefClass::Pseudo) {
        return RefVerdict::Pseudo;
    }
    let harmless = match place {
        RefClass::Harmless(whose) => Some(whose),
        RefClass::Pseudo
        | RefClass::OwnBranch
        | RefClass::FreeBranch
        | RefClass::Tag
        | RefClass::Guarded(_) => None,
    };
    if let RefTarget::Symref(target) = &line.new {
        return match harmless {
            // refs/remotes/origin/HEAD is one; one that leads to a branch would bypass that branch's
            // protection.
            Some(whose) if leads_to_harmless(target, ctx) => RefVerdict::Harmless(whose),
            Some(_) | None if current.value.as_ref() == Some(&line.new) => RefVerdict::NoOp,
            Some(_) | None => RefVerdict::Protected(Guarded::Symref),
        };
    }
    if let Some(whose) = harmless.filter(|whose| *whose != Harmless::Cmw) {
        return RefVerdict::Harmless(whose);
    }
    if current.value.as_ref() == Some(&line.new) {
        return RefVerdict::NoOp;
    }
    if is_prune(line, current, ctx) {
        return RefVerdict::PackPrune;
    }
    match place {
        RefClass::Tag if current.value == Some(RefTarget::Zero) => RefVerdict::TagCreation,
        RefClass::Tag => RefVerdict::Protected(Guarded::Tag),
        RefClass::OwnBranch => RefVerdict::OwnBranch,
        RefClass::FreeBranch => RefVerdict::FreeBranch,
        RefClass::Guarded(what) => RefVerdict::Protected(what),
        RefClass::Pseudo => RefVerdict::Pseudo,
        RefClass::Harmless(whose) => RefVerdict::Harmless(whose),
    }
}

fn leads_to_harmless(target: &RefName, ctx: &RefContext<'_>) -> bool {
    match place(target, ctx) {
        RefClass::Harmless(_) => true,
        RefClass::Pseudo
        | RefClass::OwnBranch
        | RefClass::FreeBranch
        | RefClass::Tag
        | RefClass::Guarded(_) => false,
    }
}

/// Whether the line is `X 0 ref`, the ref is X, `packed-refs` has X, and `packed-refs.lock` does not exist.
fn is_prune(line: &RefLine, current: &CurrentRef, ctx: &RefContext<'_>) -> bool {
    let (RefTarget::Oid(old), RefTarget::Zero) = (&line.old, &line.new) else { return false };
    ctx.prune_possible
        && current.packed.as_ref() == Some(old)
        && matches!(&current.value, Some(RefTarget::Oid(value)) if value == old)
}

#[cfg(test)]
#[path = "ref_rules_tests.rs"]
mod tests;
