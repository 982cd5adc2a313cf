//! A row of the matrix: one operation of git, and what is expected of it.

/// What an operation is for the guard.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// Moves a protected ref: needs the lock.
    Moves,
    /// Moves a branch of the role's own: free, except when frozen.
    Own,
    /// Moves nothing that is protected: never refused, and the same as without hooks.
    Harmless,
    /// Moves nothing, but is refused too: git shows what it shows for a deletion, or asks before it knows
    /// that it will stop half way.
    Mistaken,
    /// Git calls no hook for it: only what the holder gets is compared. The text says why.
    Unseen(&'static str),
    /// Pushes to a protected branch of another repository: needs the lock.
    PushGuarded,
    /// Pushes to another branch of another repository: free, except when frozen.
    PushFree,
}

/// What a refusal leaves behind, besides the protected refs, which are always as they were.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Left {
    /// Nothing.
    Nothing,
    /// Something that this command takes back.
    Back(&'static str),
    /// Fetched remote-tracking refs and new tags, which stay; this command takes back the rest.
    Fetched(&'static str),
    /// It was in the middle of something, which this command ends.
    Ends(&'static str),
    /// Anything: files that belong to no role.
    Anything,
}

/// Where git calls no hook for an operation for which it calls one elsewhere.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Blind {
    Nowhere,
    /// Refs in reftables.
    Reftable,
    /// Before 2.x.
    Before(u32),
}

/// One operation.
#[derive(Clone, Debug)]
pub(crate) struct Row {
    pub(crate) name: String,
    /// Run without hooks before.
    pub(crate) before: String,
    /// What is looked at.
    pub(crate) line: String,
    pub(crate) kind: Kind,
    pub(crate) left: Left,
    pub(crate) blind: Blind,
    /// Its exit code without hooks.
    pub(crate) code: i32,
    /// The first 2.x that has it.
    pub(crate) since: u32,
}

impl Row {
    fn new(name: &str, before: &str, line: &str, kind: Kind) -> Self {
        let [name, before, line] = [name, before, line].map(str::to_owned);
        Self { name, before, line, kind, left: Left::Nothing, blind: Blind::Nowhere, code: 0, since: 0 }
    }

    /// What a refusal leaves.
    pub(crate) fn leaves(self, left: Left) -> Self {
        Self { left, ..self }
    }

    /// What a refusal leaves is taken back by `git reset --hard`.
    pub(crate) fn resettable(self) -> Self {
        self.leaves(Left::Back("git reset -q --hard"))
    }

    pub(crate) fn blind(self, blind: Blind) -> Self {
        Self { blind, ..self }
    }

    pub(crate) fn code(self, code: i32) -> Self {
        Self { code, ..self }
    }

    pub(crate) fn since(self, since: u32) -> Self {
        Self { since, ..self }
    }

    /// What it is with this git and these refs.
    pub(crate) fn kind_with(&self, minor: u32, reftable: bool) -> Kind {
        match self.blind {
            Blind::Reftable if reftable => Kind::Unseen("no hook with reftables"),
            Blind::Before(first) if minor < first => Kind::Unseen("no hook before"),
            Blind::Nowhere | Blind::Reftable | Blind::Before(_) => self.kind,
        }
    }
}

pub(crate) fn moves(name: &str, before: &str, line: &str) -> Row {
    Row::new(name, before, line, Kind::Moves)
}

pub(crate) fn own(name: &str, before: &str, line: &str) -> Row {
    Row::new(name, before, line, Kind::Own)
}

pub(crate) fn harmless(name: &str, before: &str, line: &str) -> Row {
    Row::new(name, before, line, Kind::Harmless)
}

pub(crate) fn mistaken(name: &str, before: &str, line: &str) -> Row {
    Row::new(name, before, line, Kind::Mistaken)
}

pub(crate) fn unseen(name: &str, before: &str, line: &str, why: &'static str) -> Row {
    Row::new(name, before, line, Kind::Unseen(why))
}

pub(crate) fn push_guarded(name: &str, before: &str, line: &str) -> Row {
    Row::new(name, before, line, Kind::PushGuarded)
}

pub(crate) fn push_free(name: &str, before: &str, line: &str) -> Row {
    Row::new(name, before, line, Kind::PushFree)
}
