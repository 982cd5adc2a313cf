//! The lines that git writes to its hooks' stdin, parsed strictly.
//!
//! A line that cannot be parsed is an error and never skipped: a skipped line would be an unchecked movement.

use crate::domain::guard::git_ref::{Oid, RefError, RefName, RefTarget};

/// One line of `reference-transaction` or `pre-receive`: a ref and its new value.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RefLine {
    /// The value before, as the caller of git gave it. Not to be trusted: zeros also mean "do not
    /// care", and what it says is not checked against the repository when a hook sees it.
    pub old: RefTarget,
    /// The value after.
    pub new: RefTarget,
    /// The ref.
    pub name: RefName,
}

/// One line of `pre-push`: a local object and the remote ref that receives it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PushLine {
    /// The source of the push as the user typed it (`refs/heads/x`, `HEAD~1`); for people only.
    pub local: String,
    /// The object that is pushed; `None` deletes the remote ref.
    pub local_oid: Option<Oid>,
    /// The ref of the remote repository.
    pub remote: RefName,
    /// The value of that ref when git ran the hook; `None` when there was none.
    pub remote_oid: Option<Oid>,
}

impl PushLine {
    /// Returns the same as a movement of the remote's ref, for [`crate::domain::guard::ref_rules::classify`].
    #[must_use]
    pub fn movement(&self) -> RefLine {
        let target = |oid: &Option<Oid>| oid.clone().map_or(RefTarget::Zero, RefTarget::from);
        RefLine { old: target(&self.remote_oid), new: target(&self.local_oid), name: self.remote.clone() }
    }
}

/// The state of a reference transaction: the first argument of its hook.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TransactionPhase {
    /// Before anything is locked (git ≥ 2.54); names are not resolved yet, so nothing is decided.
    Preparing,
    /// All refs are locked; the only state in which a refusal counts.
    Prepared,
    /// The refs have moved.
    Committed,
    /// The refs have not moved.
    Aborted,
    /// A state that this version does not know; nothing is decided in it.
    Other,
}

impl TransactionPhase {
    /// Parses the argument.
    #[must_use]
    pub fn parse(text: &[u8]) -> Self {
        match text {
            b"preparing" => Self::Preparing,
            b"prepared" => Self::Prepared,
            b"committed" => Self::Committed,
            b"aborted" => Self::Aborted,
            _ => Self::Other,
        }
    }
}

/// A line that git would not write.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line} from git cannot be understood: {why}")]
pub struct LineError {
    /// The number of the line, from 1.
    pub line: usize,
    /// The reason.
    pub why: String,
}

fn each<T>(stdin: &[u8], parse: impl Fn(&[u8]) -> Result<T, String>) -> Result<Vec<T>, LineError> {
    let mut out = Vec::new();
    for (i, piece) in stdin.split_inclusive(|b| *b == b'\n').enumerate() {
        let parsed = match piece.strip_suffix(b"\n") {
            Some(line) => parse(line),
            None => Err("it does not end".to_owned()),
        };
        out.push(parsed.map_err(|why| LineError { line: i + 1, why })?);
    }
    Ok(out)
}

fn text(error: RefError) -> String {
    error.to_string()
}

fn oid(field: &[u8]) -> Result<Option<Oid>, String> {
    let oid = Oid::parse(field).map_err(text)?;
    Ok(Some(oid).filter(|oid| !oid.is_zero()))
}

fn ref_line(line: &[u8]) -> Result<RefLine, String> {
    let fields: Vec<&[u8]> = line.split(|b| *b == b' ').collect();
    let [old, new, name] = fields[..] else {
        return Err(format!("{} fields instead of 3", fields.len()));
    };
    let is_symbolic = |field: &[u8]| field.starts_with(b"ref:");
    if !is_symbolic(old) && !is_symbolic(new) && old.len() != new.len() {
        return Err("two object ids of different length".to_owned());
    }
    Ok(RefLine {
        old: RefTarget::parse(old).map_err(text)?,
        new: RefTarget::parse(new).map_err(text)?,
        name: RefName::parse(name).map_err(text)?,
    })
}

/// Parses the input of `reference-transaction`: `<old> <new> <ref>`, values ids or `ref:<name>`.
///
/// # Errors
/// [`LineError`] for the first line that git would not write; then no movement may be allowed.
pub fn parse_transaction(stdin: &[u8]) -> Result<Vec<RefLine>, LineError> {
    each(stdin, ref_line)
}

/// Parses the input of `pre-receive`: `<old> <new> <ref>`, values ids only.
///
/// # Errors
/// [`LineError`] for the first line that git would not write; then no movement may be allowed.
pub fn parse_receive(stdin: &[u8]) -> Result<Vec<RefLine>, LineError> {
    each(stdin, |line| {
        let line = ref_line(line)?;
        match (&line.old, &line.new) {
            (RefTarget::Symref(_), _) | (_, RefTarget::Symref(_)) => Err("a symbolic value".to_owned()),
            (RefTarget::Zero | RefTarget::Oid(_), RefTarget::Zero | RefTarget::Oid(_)) => Ok(line),
        }
    })
}

/// Parses the input of `pre-push`: `<local> <oid> <remote ref> <oid>`. The first field may have
/// spaces in it (`HEAD^{/fix it}`), so fields are counted from the right.
///
/// # Errors
/// [`LineError`] for the first line that git would not write; then no movement may be allowed.
pub fn parse_push(stdin: &[u8]) -> Result<Vec<PushLine>, LineError> {
    each(stdin, |line| {
        let mut fields = line.rsplitn(4, |b| *b == b' ');
        let (Some(remote_oid), Some(remote), Some(local_oid), Some(local)) =
            (fields.next(), fields.next(), fields.next(), fields.next())
        else {
            return Err("fewer than 4 fields".to_owned());
        };
        if local.is_empty() || local_oid.len() != remote_oid.len() {
            return Err("no local name, or two object ids of different length".to_owned());
        }
        Ok(PushLine {
            local: String::from_utf8_lossy(local).into_owned(),
            local_oid: oid(local_oid)?,
            remote: RefName::parse(remote).map_err(text)?,
            remote_oid: oid(remote_oid)?,
        })
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_that_cannot_be_parsed_is_an_error() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let good = format!("{zero} {one} refs/heads/main\n");
        assert_eq!(parse_transaction(good.as_bytes()).unwrap().len(), 1);
        assert_eq!(parse_transaction(b"").unwrap(), []);
        let long = "1".repeat(64);
        for bad in [
            format!("{zero} {one} refs/heads/main"),
            format!("{zero} {one} refs/heads/main\r\n"),
            format!("{zero}  {one} refs/heads/main\n"),
            format!("{zero} {one} refs/heads/main \n"),
            format!("{zero} {long} refs/heads/main\n"),
            format!("{zero} {one}\n"),
            format!("{zero} {one} refs/heads/a b\n"),
            format!("{zero} {one} refs/heads/../main\n"),
            format!("{zero} main refs/heads/main\n"),
            format!("{zero} ref:a..b HEAD\n"),
            "\n".to_owned(),
            "\0\n".to_owned(),
        ] {
            let error = parse_transaction(format!("{good}{bad}").as_bytes()).unwrap_err();
            assert_eq!(error.line, 2, "{bad:?}");
        }
    }

    #[test]
    fn symbolic_values_are_for_transactions_only() {
        let line = format!("{} ref:refs/heads/x HEAD\n", "0".repeat(40));
        let parsed = parse_transaction(line.as_bytes()).unwrap();
        assert_eq!(parsed[0].new, RefTarget::parse(b"ref:refs/heads/x").unwrap());
        assert!(parse_receive(line.as_bytes()).is_err());
        let line = format!("ref:refs/heads/x {} HEAD\n", "1".repeat(64));
        assert!(parse_transaction(line.as_bytes()).is_ok());
    }

    #[test]
    fn a_push_line_is_read_from_the_right() {
        let (zero, one) = ("0".repeat(40), "1".repeat(40));
        let lines = format!(
            "HEAD^{{/fix it all}} {one} refs/heads/main {zero}\n(delete) {zero} refs/heads/old {one}\n"
        );
        let parsed = parse_push(lines.as_bytes()).unwrap();
        assert_eq!(parsed[0].local, "HEAD^{/fix it all}");
        assert_eq!((parsed[0].local_oid.is_some(), parsed[0].remote_oid.is_some()), (true, false));
        assert_eq!(parsed[1].movement().new, RefTarget::Zero);
        assert_eq!(parsed[1].remote.as_str(), "refs/heads/old");
        for bad in [
            format!("a {one} refs/heads/x\n"),
            format!(" {one} refs/heads/x {zero}\n"),
            "a b c d\n".to_owned(),
        ] {
            assert!(parse_push(bad.as_bytes()).is_err(), "{bad:?}");
        }
    }
}
