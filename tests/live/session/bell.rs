//! An agent without hooks is told of its mail in its pane, by a line that has no word of it.

use crate::support::session::{World, wait_for};

/// A program that looks like Codex: an input line with a faint hint, drawn anew at each key; what it is told
/// it logs, then does what stands in `turn` and says that its turn is complete.
const CODEX: &str = r#"
config=$2
stty raw -echo
line=
draw() {
    if [ -e busy ]; then printf '\033[H\033[2J\r\n\r\n Working (3s - esc to interrupt)\r\n'; return; fi
    if [ -z "$line" ]; then text=$'\033[2mAsk Codex to do anything\033[0m'; else text=$line; fi
    printf '\033[H\033[2J\r\n\r\n\033[1m\xe2\x80\xba\033[0m %s\r\n\r\n\033[3;%dH' "$text" $((3 + ${#line}))
}
draw
while IFS= read -r -n 1 -d '' -t 0.3 key || [ $? -gt 128 ]; do
    case $key in
    '') ;;
    $'\r' | $'\n')
        printf '%s\n' "$line" >>"told-$CLAUDE_ROLE"
        line=
        cmw-inbox next >/dev/null 2>&1
        hook=$(printf '%s' "${config#notify=}" | jq -r 'map(@sh) | join(" ")')
        eval "$hook" "'{\"type\":\"agent-turn-complete\",\"thread-id\":\"t\"}'"
        ;;
    *) line=$line$key ;;
    esac
    draw
done
"#;

fn told(world: &World, role: &str) -> Vec<String> {
    let told = std::fs::read_to_string(world.repo.join(format!("told-{role}"))).unwrap_or_default();
    told.lines().map(str::to_owned).collect()
}

#[test]
fn an_idle_agent_is_rung_and_one_at_work_gets_a_number() {
    let world = World::new(2);
    let codex =
        world.program("codex", &format!("exec bash -c '{}' codex \"$@\"", CODEX.replace('\'', "'\\''")));
    world.up(&["--agent", codex.to_str().unwrap()]).ok();
    wait_for("its input line", || world.shown("Dev-A").contains("Ask Codex"));
    let send = |subject: &str| world.tool("cmw-send", &["Dev-A", "--subject", subject, "a secret"]).ok().out;
    let first = send("the first");
    wait_for("the bell", || !told(&world, "Dev-A").is_empty());
    let line = |id: &str| format!("cmw: new message {} - run: cmw-inbox next", &id.trim()[18..]);
    assert_eq!(told(&world, "Dev-A"), [line(&first)]);
    let record =
        || std::fs::read_to_string(world.repo.join(".git/cmw/clients/Dev-A/record")).unwrap_or_default();
    wait_for("the end of its turn", || record().contains("\"activity\":\"idle\""));

    // At work it is left alone, and the person sees how much waits.
    std::fs::write(world.repo.join("busy"), "").unwrap();
    wait_for("its work", || world.shown("Dev-A").contains("esc to interrupt"));
    let second = send("the second");
    let badge = || world.tmux(&["list-panes", "-a", "-F", "#{@cmw_role} #{@cmw_badge}"]).out;
    wait_for("the number", || badge().contains("Dev-A 1 mail"));
    std::thread::sleep(std::time::Duration::from_millis(1_500));
    assert_eq!(told(&world, "Dev-A").len(), 1, "nothing was typed");
    std::fs::remove_file(world.repo.join("busy")).unwrap();
    wait_for("the bell", || told(&world, "Dev-A").len() == 2);
    assert_eq!(told(&world, "Dev-A")[1], line(&second));
    wait_for("no number", || !badge().contains("mail"));
    let all = format!("{}{}", world.shown("Dev-A"), told(&world, "Dev-A").join("\n"));
    assert!(!all.contains("secret") && !all.contains("the second"), "{all}");
}

#[test]
fn an_unknown_agent_gets_a_number_and_no_line() {
    let world = World::new(2);
    let agent = world.program("agent", "cmw-heartbeat register; printf '> '; cat >\"typed-$CLAUDE_ROLE\"");
    world.up(&["--agent", agent.to_str().unwrap()]).ok();
    world.tool("cmw-send", &["Dev-A", "--subject", "s", "x"]).ok();
    let badge = || world.tmux(&["list-panes", "-a", "-F", "#{@cmw_role} #{@cmw_badge}"]).out;
    wait_for("the number", || badge().contains("Dev-A 1 mail"));
    std::thread::sleep(std::time::Duration::from_secs(1));
    assert_eq!(std::fs::read_to_string(world.repo.join("typed-Dev-A")).unwrap(), "");
}
