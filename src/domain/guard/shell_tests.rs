//! Tests of the reader of command lines.

use super::*;

fn told(line: &str) -> Vec<String> {
    let one = |simple: &SimpleCommand| {
        let words: Vec<&str> = simple.words.iter().map(|word| word.text.as_str()).collect();
        let writes: Vec<String> = simple.writes.iter().map(|word| format!(">{}", word.text)).collect();
        [words.join("·"), writes.join("")].concat()
    };
    commands(line).iter().map(one).collect()
}

#[test]
fn a_line_is_taken_apart() {
    for (line, expected) in [
        ("git commit -m 'a b'", vec!["git·commit·-m·a b"]),
        ("a;b&&c||d|e&f\ng", vec!["a", "b", "c", "d", "e", "f", "g"]),
        ("A=1 B='x y' git add .", vec!["git·add·."]),
        ("echo x >a 2>&1 >>b <c &>d 2>/dev/null", vec!["echo·x>a>b>d>/dev/null"]),
        ("echo a\\ b \"c \\\" d\" e'f'g", vec!["echo·a b·c \" d·efg"]),
        ("# git commit\ngit add a # b", vec!["git·add·a"]),
        ("(cd x; git add a)", vec!["cd·x", "git·add·a"]),
        ("if git diff; then git add a; fi", vec!["git·diff", "git·add·a"]),
        ("bash -lc 'git add .; ls'", vec!["bash·-lc·git add .; ls", "git·add·.", "ls"]),
        ("sudo env A=1 git add .", vec!["sudo·env·A=1·git·add·.", "env·A=1·git·add·."]),
        ("timeout 5 git add .", vec!["timeout·5·git·add·.", "git·add·."]),
        ("", vec![]),
        (" ;; & ", vec![]),
        ("'unterminated", vec!["unterminated"]),
        ("echo \"unterminated $(git add", vec!["git·add", "echo·unterminated \0"]),
    ] {
        assert_eq!(told(line), expected, "{line}");
    }
}

#[test]
fn what_is_data_is_no_command() {
    let line = "git commit -m \"$(cat <<'EOF'\nfix (it); rm -rf / && git add -A\n\nEOF\n)\" -- a\ngit log";
    assert_eq!(told(line), ["cat", "git·commit·-m·\0·--·a", "git·log"]);
    let line = "cat >x <<EOF\ngit add -A\nEOF\ngit add b";
    assert_eq!(told(line), ["cat>x", "git·add·b"]);
    let line = "cat <<-EOF\n\tgit add -A\n\tEOF\nls";
    assert_eq!(told(line), ["cat", "ls"]);
    assert_eq!(told("echo 'git add -A; rm x'"), ["echo·git add -A; rm x"]);
    assert_eq!(told("echo $((1 + 2)) ${A:-git add} $HOME $? $"), ["echo·\0·\0·\0·\0·$"]);
}

#[test]
fn anything_can_be_read() {
    let parts =
        ["'", "\"", "$(", "`", "(", ")", "\\", "<<E", "\n", ">", "&", "ü", "${", "$((", "#", " ", "sh -c "];
    let mut seed = 7_u64;
    for _ in 0..20_000 {
        let mut line = String::new();
        for _ in 0..(seed >> 60) + 3 {
            seed = seed.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
            line.push_str(parts[usize::try_from(seed >> 33).unwrap() % parts.len()]);
        }
        let _ = commands(&line);
    }
    assert!(commands(&"$(".repeat(100_000)).len() <= COMMANDS_MAX);
    assert!(commands(&"a;".repeat(100_000)).len() <= COMMANDS_MAX);
}
