//! Reads an agent's shell command line, as far as that is possible without running it: its simple commands,
//! and the files it writes by redirection.
//!
//! Only against mistakes, before they happen: a word that a shell would first have to compute is unknown, and
//! an agent can hide a command on purpose. Git's own hooks judge the actual movements.

/// The depth to which substitutions and nested shells are followed.
const DEPTH_MAX: u8 = 8;
/// The number of commands that are examined.
const COMMANDS_MAX: usize = 1_000;

/// A word, as far as it is known.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Word {
    /// Its text; a part that a shell would compute is `\u{0}`.
    pub text: String,
    /// Whether a part of it was quoted: then it is no option by mistake, nor a pattern.
    pub quoted: bool,
}

impl Word {
    /// Returns the text, when no part of it must be computed first.
    #[must_use]
    pub fn known(&self) -> Option<&str> {
        (!self.text.contains('\0')).then_some(self.text.as_str())
    }
}

/// A simple command.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct SimpleCommand {
    /// Its words, without assignments before it.
    pub words: Vec<Word>,
    /// The targets of its redirections.
    pub writes: Vec<Word>,
    /// The nesting depth of its shell; a `cd` in a deeper shell ends with that shell.
    pub level: u8,
}

/// Returns the simple commands of a command line, including those of substitutions and nested shells, in the
/// order in which they would run as far as that can be determined.
#[must_use]
pub fn commands(line: &str) -> Vec<SimpleCommand> {
    let mut out = Vec::new();
    read(line, 0, &mut out);
    out
}

fn read(line: &str, level: u8, out: &mut Vec<SimpleCommand>) {
    let mut reader =
        Reader { rest: line, level, now: SimpleCommand { level, ..SimpleCommand::default() }, out };
    reader.all();
}

/// The target that a redirection still expects.
#[derive(Clone, Copy, PartialEq, Eq)]
enum RedirectTarget {
    None,
    Write,
    Other,
}

struct Reader<'a, 'o> {
    rest: &'a str,
    level: u8,
    now: SimpleCommand,
    out: &'o mut Vec<SimpleCommand>,
}

impl<'a> Reader<'a, '_> {
    fn all(&mut self) {
        let mut target = RedirectTarget::None;
        let mut ends: Vec<(String, bool)> = Vec::new();
        while let Some(c) = self.rest.chars().next() {
            if self.out.len() >= COMMANDS_MAX {
                return;
            }
            match c {
                ' ' | '\t' => self.skip(1),
                '\n' => {
                    self.skip(1);
                    self.end();
                    for (end, tabs) in ends.drain(..) {
                        self.pass_here_document(&end, tabs);
                    }
                }
                '#' => self.pass_line(),
                ';' | '&' | '|' | '(' | ')' => {
                    if self.rest.starts_with("&>") {
                        self.skip(2);
                        self.take('>');
                        target = RedirectTarget::Write;
                    } else {
                        self.skip(1);
                        self.end();
                        match c {
                            '(' => self.level = (self.level + 1).min(DEPTH_MAX),
                            ')' => self.level = self.level.saturating_sub(1),
                            _ => {}
                        }
                        self.now.level = self.level;
                    }
                }
                '<' | '>' => {
                    let here = self.rest.starts_with("<<") && !self.rest.starts_with("<<<");
                    if here {
                        self.skip(2);
                        let tabs = self.take('-');
                        while self.take(' ') {}
                        ends.push((self.word().text, tabs));
                        continue;
                    }
                    self.skip(self.rest.chars().take_while(|c| matches!(c, '<' | '>' | '|')).count());
                    // `>&2` names no file, `>&file` does.
                    let to_number =
                        self.take('&') && self.rest.starts_with(|c: char| c.is_ascii_digit() || c == '-');
                    target =
                        if c == '>' && !to_number { RedirectTarget::Write } else { RedirectTarget::Other };
                }
                _ => self.put(&mut target),
            }
        }
        self.end();
    }

    /// Adds the next word to the command, or to the redirection that expects it.
    fn put(&mut self, target: &mut RedirectTarget) {
        let word = self.word();
        let is_number = !word.quoted && word.text.chars().all(|c| c.is_ascii_digit());
        if is_number && self.rest.starts_with(['<', '>']) {
            return;
        }
        match std::mem::replace(target, RedirectTarget::None) {
            RedirectTarget::Write => self.now.writes.push(word),
            RedirectTarget::Other => {}
            RedirectTarget::None if self.now.words.is_empty() && is_assignment(&word) => {}
            RedirectTarget::None if self.now.words.is_empty() && is_keyword(&word) => {}
            RedirectTarget::None => self.now.words.push(word),
        }
    }

    /// Ends the simple command.
    fn end(&mut self) {
        let done =
            std::mem::replace(&mut self.now, SimpleCommand { level: self.level, ..SimpleCommand::default() });
        if done.words.is_empty() && done.writes.is_empty() {
            return;
        }
        let inner = unwrapped(&done);
        self.out.push(done);
        match inner {
            Some(WrappedCommand::Line(line)) if self.level < DEPTH_MAX => {
                read(&line, self.level + 1, self.out);
            }
            Some(WrappedCommand::Words(words)) if self.level < DEPTH_MAX => {
                let simple = SimpleCommand { words, writes: Vec::new(), level: self.level };
                let deeper = unwrapped(&simple);
                self.out.push(simple);
                if let Some(WrappedCommand::Line(line)) = deeper {
                    read(&line, self.level + 1, self.out);
                }
            }
            Some(WrappedCommand::Line(_) | WrappedCommand::Words(_)) | None => {}
        }
    }

    /// Reads a word, with quotes resolved; substitutions are read as commands of their own.
    fn word(&mut self) -> Word {
        let mut word = Word { text: String::new(), quoted: false };
        while let Some(c) = self.rest.chars().next() {
            match c {
                ' ' | '\t' | '\n' | ';' | '&' | '|' | '<' | '>' | '(' | ')' => break,
                '\'' => {
                    word.quoted = true;
                    self.skip(1);
                    let end = self.rest.find('\'').unwrap_or(self.rest.len());
                    word.text.push_str(self.rest.get(..end).unwrap_or_default());
                    self.cut(end);
                    self.take('\'');
                }
                '"' => {
                    word.quoted = true;
                    self.skip(1);
                    self.double_quoted(&mut word);
                }
                '\\' => {
                    self.skip(1);
                    match self.rest.chars().next() {
                        Some('\n') | None => {}
                        Some(c) => word.text.push(c),
                    }
                    self.skip(1);
                }
                '$' | '`' => self.substitution(&mut word),
                c => {
                    word.text.push(c);
                    self.skip(1);
                }
            }
        }
        word
    }

    fn double_quoted(&mut self, word: &mut Word) {
        while let Some(c) = self.rest.chars().next() {
            match c {
                '"' => return self.skip(1),
                '\\' => {
                    self.skip(1);
                    match self.rest.chars().next() {
                        Some('\n') | None => {}
                        Some(c @ ('$' | '`' | '"' | '\\')) => word.text.push(c),
                        Some(c) => word.text.extend(['\\', c]),
                    }
                    self.skip(1);
                }
                '$' | '`' => self.substitution(word),
                c => {
                    word.text.push(c);
                    self.skip(1);
                }
            }
        }
    }

    /// Reads a substitution: its commands are read, its value is unknown.
    fn substitution(&mut self, word: &mut Word) {
        let (inside, length) = if let Some(after) = self.rest.strip_prefix('`') {
            let end = after.find('`').unwrap_or(after.len());
            (after.get(..end), end + 2)
        } else if let Some(after) = self.rest.strip_prefix("$((") {
            (None, after.find("))").map_or(self.rest.len(), |end| end + 5))
        } else if let Some(after) = self.rest.strip_prefix("$(") {
            let end = closing(after);
            (after.get(..end), end + 3)
        } else if let Some(after) = self.rest.strip_prefix("${") {
            (None, after.find('}').map_or(self.rest.len(), |end| end + 3))
        } else {
            let name = |c: &char| c.is_ascii_alphanumeric() || *c == '_';
            let after = self.rest.get(1..).unwrap_or_default();
            let length = after.chars().take_while(name).count();
            let special = usize::from(length == 0 && after.starts_with(['?', '!', '@', '*', '#', '$', '-']));
            if length + special == 0 {
                word.text.push('$');
                return self.skip(1);
            }
            (None, 1 + length + special)
        };
        if let Some(inside) = inside.filter(|_| self.level < DEPTH_MAX) {
            read(inside, self.level + 1, self.out);
        }
        word.text.push('\0');
        self.cut(length);
    }

    fn pass_line(&mut self) {
        self.cut(self.rest.find('\n').unwrap_or(self.rest.len()));
    }

    /// Skips the lines up to the one that ends a here-document: they are data, not commands.
    fn pass_here_document(&mut self, end: &str, tabs: bool) {
        while !self.rest.is_empty() {
            let line = self.rest.split('\n').next().unwrap_or_default();
            self.cut(line.len() + 1);
            if (if tabs { line.trim_start_matches('\t') } else { line }) == end {
                return;
            }
        }
    }

    fn take(&mut self, wanted: char) -> bool {
        let there = self.rest.starts_with(wanted);
        if there {
            self.cut(wanted.len_utf8());
        }
        there
    }

    fn skip(&mut self, chars: usize) {
        let bytes = self.rest.chars().take(chars).map(char::len_utf8).sum();
        self.cut(bytes);
    }

    fn cut(&mut self, bytes: usize) {
        self.rest = self.rest.get(bytes..).unwrap_or_default();
    }
}

/// Returns where the open parenthesis closes; quotes, nested parentheses and here-documents inside are
/// skipped.
fn closing(text: &str) -> usize {
    let (mut depth, mut at) = (1_u32, 0);
    let mut quote: Option<char> = None;
    let mut end_line: Option<String> = None;
    while let Some(c) = text.get(at..).and_then(|rest| rest.chars().next()) {
        match (quote, c) {
            (Some('\''), '\'') | (Some('"'), '"') => quote = None,
            (None | Some('"'), '\\') => at += 1,
            (None, '\'' | '"') => quote = Some(c),
            (None, '(') => depth += 1,
            (None, ')') => {
                depth -= 1;
                if depth == 0 {
                    return at;
                }
            }
            (None, '<')
                if text.get(at..).is_some_and(|rest| rest.starts_with("<<") && !rest.starts_with("<<<")) =>
            {
                let word = text.get(at + 2..).unwrap_or_default().trim_start_matches(['-', ' ']);
                let word = word.split(['\n', ' ', ')', ';', '|', '>']).next().unwrap_or_default();
                end_line = Some(word.trim_matches(['\'', '"', '\\']).to_owned());
                at += 1;
            }
            (None, '\n') => {
                if let Some(end) = end_line.take() {
                    let body = text.get(at + 1..).unwrap_or_default();
                    let mut length = 0;
                    for line in body.split_inclusive('\n') {
                        length += line.len();
                        if line.trim_end_matches('\n').trim_start_matches('\t') == end {
                            break;
                        }
                    }
                    at += length;
                }
            }
            _ => {}
        }
        at += text.get(at..).and_then(|rest| rest.chars().next()).map_or(1, char::len_utf8);
    }
    text.len()
}

fn is_assignment(word: &Word) -> bool {
    word.text.split_once('=').is_some_and(|(name, _)| {
        name.chars().next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && name.chars().all(|c| c.is_ascii_alphanumeric() || c == '_' || c == '+')
    })
}

fn is_keyword(word: &Word) -> bool {
    const WORDS: [&str; 12] =
        ["if", "then", "else", "elif", "fi", "while", "until", "do", "done", "!", "{", "}"];
    !word.quoted && WORDS.contains(&word.text.as_str())
}

/// The command inside a command that only runs others.
enum WrappedCommand {
    /// A command line.
    Line(String),
    /// A command.
    Words(Vec<Word>),
}

/// Returns the command within `sh -c`, `eval`, `env`, `sudo`, `timeout`, `xargs` and the like.
fn unwrapped(simple: &SimpleCommand) -> Option<WrappedCommand> {
    let (first, rest) = simple.words.split_first()?;
    let name = first.known()?.rsplit('/').next()?;
    let joined = |words: &[Word]| words.iter().map(|word| word.text.clone()).collect::<Vec<_>>().join(" ");
    match name {
        "sh" | "bash" | "dash" | "zsh" => {
            let at = rest.iter().position(|w| {
                w.text.starts_with('-') && !w.text.starts_with("--") && w.text.ends_with('c')
            })?;
            rest.get(at + 1).map(|line| WrappedCommand::Line(line.text.clone()))
        }
        "eval" => Some(WrappedCommand::Line(joined(rest))),
        "env" | "sudo" | "nohup" | "time" | "command" | "exec" | "builtin" | "setsid" | "nice" | "ionice"
        | "timeout" | "xargs" | "stdbuf" | "doas" => {
            let is_own = |word: &&Word| {
                word.text.starts_with('-')
                    || is_assignment(word)
                    || (name == "timeout" && word.text.starts_with(|c: char| c.is_ascii_digit()))
            };
            let own = rest.iter().take_while(is_own).count();
            // The value of a wrapper's option looks like the command; the word after it is tried too.
            let inner = rest.get(own..)?;
            (!inner.is_empty()).then(|| WrappedCommand::Words(inner.to_vec()))
        }
        _ => None,
    }
}

#[cfg(test)]
#[path = "shell_tests.rs"]
mod tests;
