//! The roster: the roles in pane order, and the mailboxes to which an address resolves.
//!
//! Source of the rules: docs/rules.md R1. Names are compared without case, with `-` and `_` alike; the
//! stored form is the roster's.

use serde::{Deserialize, Serialize};

use crate::domain::identity::actor::{Actor, Address, Mailbox};
use crate::domain::identity::role::{NameError, Role, RoleKind, fold};

/// One role of the roster.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Member {
    /// Its name, in the stored form.
    pub role: Role,
    /// Its kind.
    pub kind: RoleKind,
    /// Its place in the session, from 0: its pane (docs/rules.md R1.1).
    pub pane: u32,
    /// The command of its pane, when it is not the session's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub command: Option<String>,
}

/// All roles, in pane order.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(transparent)]
pub struct Roster(Vec<Member>);

/// The default twelve, in pane order (docs/rules.md R1.1).
const TWELVE: [(&str, &str); 12] = [
    ("Orchestrator", "orchestrator"),
    ("Librarian", "librarian"),
    ("Planner-A", "planner"),
    ("Planner-B", "planner"),
    ("Architect-A", "architect"),
    ("Architect-B", "architect"),
    ("Architect-C", "architect"),
    ("Dev-A", "dev"),
    ("Dev-B", "dev"),
    ("QA-A", "qa"),
    ("QA-B", "qa"),
    ("Docs", "docs"),
];

/// The order in which the default roles join a roster that is smaller than twelve (docs/rules.md R1.2).
const JOIN_ORDER: [&str; 12] = [
    "Dev-A",
    "Dev-B",
    "Orchestrator",
    "Librarian",
    "QA-A",
    "Docs",
    "Planner-A",
    "Architect-A",
    "QA-B",
    "Planner-B",
    "Architect-B",
    "Architect-C",
];

impl Roster {
    /// Returns a roster of these members, sorted by pane.
    ///
    /// # Errors
    /// A text that says which two members share a name or a pane.
    pub fn new(mut members: Vec<Member>) -> Result<Self, String> {
        members.sort_by_key(|m| m.pane);
        for (i, one) in members.iter().enumerate() {
            for other in &members[i + 1..] {
                if fold(one.role.as_str()) == fold(other.role.as_str()) {
                    return Err(format!("two roles are called {}", one.role));
                }
                if one.pane == other.pane {
                    return Err(format!("{} and {} both have pane {}", one.role, other.role, one.pane));
                }
            }
        }
        if members.is_empty() {
            return Err("a roster needs at least one role".to_owned());
        }
        Ok(Self(members))
    }

    /// Returns a roster of `n` roles: the default twelve, a part of them, or more developers
    /// (docs/rules.md R1.2).
    #[must_use]
    pub fn of_size(n: usize) -> Self {
        let mut chosen: Vec<(String, String)> = TWELVE
            .iter()
            .filter(|(name, _)| JOIN_ORDER.iter().take(n).any(|joined| joined == name))
            .map(|(name, kind)| ((*name).to_owned(), (*kind).to_owned()))
            .collect();
        for extra in 0..n.saturating_sub(TWELVE.len()) {
            chosen.push((format!("Dev-{}", letters(extra + 2)), "dev".to_owned()));
        }
        let members = chosen.into_iter().enumerate().map(|(i, (role, kind))| Member {
            role: Role::parse(&role).expect("the default names are names of roles"),
            kind: RoleKind::parse(&kind).expect("the default kinds are kinds"),
            pane: u32::try_from(i).unwrap_or(u32::MAX),
            command: None,
        });
        Self(members.collect())
    }

    /// Returns all members, in pane order.
    #[must_use]
    pub fn members(&self) -> &[Member] {
        &self.0
    }

    /// Returns the member with this name, compared as docs/rules.md R1.3 says.
    ///
    /// # Errors
    /// [`NameError`]; for an unknown name with the nearest ones.
    pub fn resolve(&self, text: &str) -> Result<&Member, NameError> {
        let asked = Role::parse(text)?;
        let folded = fold(asked.as_str());
        self.0.iter().find(|m| fold(m.role.as_str()) == folded).ok_or_else(|| NameError::Unknown {
            name: asked.as_str().to_owned(),
            near: self.nearest(&folded),
        })
    }

    /// Returns the member that is exactly this role.
    #[must_use]
    pub fn member(&self, role: &Role) -> Option<&Member> {
        self.0.iter().find(|m| m.role == *role)
    }

    /// Returns the kind of a role of this roster.
    #[must_use]
    pub fn kind(&self, role: &Role) -> Option<&RoleKind> {
        self.member(role).map(|m| &m.kind)
    }

    /// Returns the first role of a kind.
    #[must_use]
    pub fn first_of(&self, is_kind: impl Fn(&RoleKind) -> bool) -> Option<&Role> {
        self.0.iter().find(|m| is_kind(&m.kind)).map(|m| &m.role)
    }

    /// Parses an address: a role, `User`, `ALL` or `@kind`.
    ///
    /// # Errors
    /// [`NameError`], also for a kind without a role.
    pub fn address(&self, text: &str) -> Result<Address, NameError> {
        if text.eq_ignore_ascii_case("user") {
            return Ok(Address::User);
        }
        if text.eq_ignore_ascii_case("all") {
            return Ok(Address::All);
        }
        if let Some(kind) = text.strip_prefix('@') {
            let kind = RoleKind::parse(kind)?;
            if self.0.iter().any(|m| m.kind == kind) {
                return Ok(Address::Kind(kind));
            }
            let mut near: Vec<String> = self.0.iter().map(|m| format!("@{}", m.kind)).collect();
            near.sort();
            near.dedup();
            near.retain(|k| distance(k, text) <= 3);
            return Err(NameError::Unknown { name: text.to_owned(), near });
        }
        Ok(Address::Role(self.resolve(text)?.role.clone()))
    }

    /// Returns the mailboxes to which an address resolves, without the sender's own, in roster order.
    #[must_use]
    pub fn recipients(&self, to: &Address, from: &Actor) -> Vec<Mailbox> {
        let everyone = || self.0.iter().map(|m| (Mailbox::Role(m.role.clone()), Some(&m.kind)));
        let own = from.mailbox();
        match to {
            Address::Role(role) => vec![Mailbox::Role(role.clone())],
            Address::User => vec![Mailbox::User],
            Address::All => everyone()
                .map(|(mailbox, _)| mailbox)
                .chain([Mailbox::User])
                .filter(|m| Some(m) != own.as_ref())
                .collect(),
            Address::Kind(kind) => everyone()
                .filter(|(mailbox, k)| *k == Some(kind) && Some(mailbox) != own.as_ref())
                .map(|(mailbox, _)| mailbox)
                .collect(),
        }
    }

    fn nearest(&self, folded: &str) -> Vec<String> {
        let mut near: Vec<(usize, &Role)> =
            self.0.iter().map(|m| (distance(&fold(m.role.as_str()), folded), &m.role)).collect();
        near.sort();
        let best = near.first().map_or(0, |(d, _)| *d);
        near.into_iter().filter(|(d, _)| *d <= 2 && *d == best).take(3).map(|(_, r)| r.to_string()).collect()
    }
}

/// Returns `A` … `Z`, `AA`, `AB` …, counted from 0.
fn letters(mut n: usize) -> String {
    let mut out = Vec::new();
    loop {
        out.push(b'A' + u8::try_from(n % 26).expect("a remainder of 26 fits"));
        if n < 26 {
            break;
        }
        n = n / 26 - 1;
    }
    out.iter().rev().map(|b| char::from(*b)).collect()
}

/// Returns the edit distance (Levenshtein), in characters.
fn distance(a: &str, b: &str) -> usize {
    let b: Vec<char> = b.chars().collect();
    let mut row: Vec<usize> = (0..=b.len()).collect();
    for (i, ca) in a.chars().enumerate() {
        let mut diagonal = row[0];
        row[0] = i + 1;
        for (j, cb) in b.iter().enumerate() {
            let replace = diagonal + usize::from(ca != *cb);
            diagonal = row[j + 1];
            row[j + 1] = replace.min(row[j] + 1).min(diagonal + 1);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_compared_without_case_and_with_dash_and_underscore_alike() {
        let roster = Roster::of_size(12);
        for text in ["Dev-A", "dev-a", "DEV_A", "dEv_a"] {
            assert_eq!(roster.resolve(text).unwrap().role.as_str(), "Dev-A", "{text}");
        }
    }

    #[test]
    fn an_unknown_role_gets_a_suggestion() {
        let error = Roster::of_size(12).resolve("Dev-C").unwrap_err();
        assert_eq!(error.to_string(), "no role is called Dev-C; did you mean Dev-A or Dev-B?");
        let error = Roster::of_size(12).resolve("Zebra").unwrap_err();
        assert_eq!(error.to_string(), "no role is called Zebra");
    }

    #[test]
    fn the_default_roster_is_the_guides() {
        let roster = Roster::of_size(12);
        assert_eq!(roster.resolve("Dev-A").unwrap().pane, 7);
        assert_eq!(roster.resolve("Docs").unwrap().pane, 11);
        let four: Vec<_> = Roster::of_size(4).members().iter().map(|m| m.role.to_string()).collect();
        assert_eq!(four, ["Orchestrator", "Librarian", "Dev-A", "Dev-B"]);
        let forty = Roster::of_size(40);
        assert_eq!(forty.members().len(), 40);
        assert_eq!(forty.members()[39].role.as_str(), "Dev-AD");
        assert!(Roster::new(forty.members().to_vec()).is_ok());
    }

    #[test]
    fn all_is_everyone_but_the_sender_and_a_kind_is_each_of_its_members() {
        let roster = Roster::of_size(12);
        let from = Actor::Role(Role::parse("Dev-A").unwrap());
        let all = roster.recipients(&roster.address("ALL").unwrap(), &from);
        assert_eq!(all.len(), 12);
        assert!(all.contains(&Mailbox::User) && !all.contains(&from.mailbox().unwrap()));
        let devs = roster.recipients(&roster.address("@dev").unwrap(), &from);
        assert_eq!(devs, [Mailbox::Role(Role::parse("Dev-B").unwrap())]);
        assert!(roster.address("@wizard").is_err());
    }
}
