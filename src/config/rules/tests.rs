use std::path::PathBuf;

use super::*;
use crate::config::{Config, file};

fn read(text: &str) -> Result<Config, String> {
    let account = Account {
        uid: 1,
        name: "a".into(),
        home: PathBuf::from("/home/a"),
    };
    file::parse(Path::new("/etc/pvm.toml"), text, &account).map_err(|error| error.to_string())
}

fn rules(text: &str) -> Vec<Rule> {
    read(text).unwrap().policy.rules
}

/// One rule with these keys, below its header on the first line.
fn one(keys: &str) -> Rule {
    rules(&format!("[[permissions.rules]]\n{keys}")).remove(0)
}

#[track_caller]
fn refused(text: &str, line: usize, why: &str) {
    let error = read(text).unwrap_err();
    let start = format!("/etc/pvm.toml:{line}: ");
    assert!(
        error.starts_with(&start) && error.contains(why),
        "{text}\n{error}"
    );
    assert!(!error.contains('\n'), "{error:?}");
}

#[track_caller]
fn one_refused(keys: &str, line: usize, why: &str) {
    refused(&format!("[[permissions.rules]]\n{keys}"), line, why);
}

#[test]
fn every_key_of_a_rule_is_read() {
    let rules = rules(
        "# rules\n[[permissions.rules]]\neffect = \"deny\"\nop = [\"rm\", \"trash\"]\n\
         scope = \"~/keep\"\nagent = \"claude\"\nreason = \"mine\"\n\
         recorded_at = 2026-11-20T15:00:00Z\n\n[[permissions.rules]]\neffect = \"allow\"\n\
         argv = [\"cargo\", \"fmt\", \"**\"]\nscope = \"/src\"\n\
         recorded_at = \"2026-11-20T16:00:00+01:00\"\n",
    );
    let [first, second] = rules.as_slice() else {
        panic!("two rules")
    };
    assert_eq!((first.effect, first.number), (Effect::Deny, Some(1)));
    assert_eq!(first.actions.to_string(), "rm,trash");
    assert_eq!(first.scope().unwrap().as_bytes(), b"/home/a/keep");
    assert_eq!(first.agent.as_ref().unwrap().as_str(), "claude");
    assert_eq!(first.reason, "mine");
    assert_eq!(first.origin, "rule 1 (pvm.toml:2)");
    assert_eq!(second.origin, "rule 2 (pvm.toml:10)");
    assert_eq!(first.recorded_at, second.recorded_at);
    assert_eq!(second.actions.to_string(), "exec");
    let Matter::Command { words, within } = &second.matter else {
        panic!("a command")
    };
    assert_eq!(words.texts().collect::<Vec<_>>(), ["cargo", "fmt", "**"]);
    assert_eq!(within.as_ref().unwrap().as_bytes(), b"/src");
}

#[test]
fn what_a_scope_is_for_follows_from_it() {
    let of = |effect: &str, scope: &str| {
        one(&format!("effect = \"{effect}\"\nscope = \"{scope}\""))
            .actions
            .to_string()
    };
    assert_eq!(of("deny", "/srv/x"), "rm,trash,exec");
    assert_eq!(of("ask", "~/x"), "rm,trash,exec");
    assert_eq!(of("allow", "/srv/x"), "rm,trash");
    assert_eq!(of("deny", "github.com/o/r"), "git-push,git-push-force");
    one_refused(
        "effect = \"allow\"\nscope = \"github.com/o/r\"",
        3,
        "says which",
    );
    for evident in [
        "localhost/r",
        "host:2222/r",
        "[::1]/r",
        "10.0.0.1/r",
        "w/link#refs/heads/x",
    ] {
        assert_eq!(of("ask", evident), "git-push,git-push-force");
    }
    for effect in ["allow", "deny"] {
        for either in ["src/thesis", "w/link", "thesis", "./thesis", ""] {
            let keys = format!("effect = \"{effect}\"\nscope = \"{either}\"");
            one_refused(
                &keys,
                3,
                "could be a path or a repository: write a path from the root",
            );
        }
    }
    let named = one("effect = \"deny\"\nop = \"git-push-force\"\nscope = \"src/thesis\"");
    assert_eq!(named.actions.to_string(), "git-push-force");
}

#[test]
fn a_deny_or_an_ask_may_be_about_everything() {
    assert_eq!(
        one("effect = \"deny\"\nop = \"exec\"").matter,
        Matter::Anything
    );
    assert_eq!(
        one("effect = \"ask\"\nop = \"git-push\"").matter,
        Matter::Anything
    );
    one_refused("effect = \"allow\"\nop = \"rm\"", 1, "would allow every rm");
    one_refused("effect = \"deny\"", 1, "op, scope or argv");
    one_refused("effect = \"deny\"\nop = []", 3, "names no operation");
}

#[test]
fn v_d14_a_rule_that_is_not_understood_is_an_error_with_its_line() {
    one_refused("op = \"rm\"", 1, "no effect");
    one_refused(
        "effect = \"Allow\"\nop = \"rm\"",
        2,
        "it is allow, ask or deny",
    );
    one_refused(
        "effect = \"deny\"\nop = \"remove\"",
        3,
        "unknown operation 'remove'",
    );
    one_refused("effect = \"deny\"\nop = 1", 3, "a name or a list of names");
    one_refused(
        "effect = \"deny\"\nop = [\"rm\",\n 1]",
        3,
        "a name or a list of names",
    );
    one_refused("effect = \"deny\"\nopp = \"rm\"", 3, "unknown field");
    one_refused(
        "effect = \"deny\"\nop = \"rm\"\nagent = \"a b\"",
        4,
        "an agent's name is",
    );
    let long = "x".repeat(501);
    one_refused(
        &format!("effect = \"deny\"\nop = \"rm\"\nreason = \"{long}\""),
        4,
        "500",
    );
    for instant in ["2026-11-20", "2026-11-20T15:00:00", "\"yesterday\"", "1"] {
        let keys = format!("effect = \"deny\"\nop = \"rm\"\nrecorded_at = {instant}");
        one_refused(&keys, 4, "recorded_at is an instant");
    }
    refused("[permissions]\nrules = \"x\"", 2, "invalid type");
    refused("[permissions]\nresolve_commands = 1", 2, "invalid type");
}

#[test]
fn p_d9_a_scope_is_canonical_as_it_is_written() {
    for (scope, why) in [
        ("/srv/../etc", "component"),
        ("/srv/./x", "component"),
        ("/srv//x", "component"),
        ("~//x", "component"),
        ("/srv/x/", "the slash at its end"),
        ("/", "the root of the file system"),
        ("", "the scope is empty"),
        ("srv/x", "begins neither"),
        ("./x", "begins neither"),
        ("~", "begins neither"),
        ("~root/x", "begins neither"),
        ("/srv/*", "not a pattern"),
        ("/srv/x?", "not a pattern"),
        ("/srv/[ab]", "not a pattern"),
        ("/srv/\\u0000", "NUL"),
    ] {
        for effect in ["allow", "ask", "deny"] {
            let keys = format!("effect = \"{effect}\"\nop = \"rm\"\nscope = \"{scope}\"");
            one_refused(&keys, 4, why);
        }
    }
    let push =
        |scope: &str| format!("effect = \"deny\"\nop = \"git-push-force\"\nscope = \"{scope}\"");
    assert_eq!(
        one(&push("github.com/o/r#refs/heads/x"))
            .scope()
            .unwrap()
            .kind(),
        "repository"
    );
    for scope in [
        "https://github.com/o/r",
        "github.com/o/r.git",
        "github.com/o/*",
        "GitHub.com/o/r",
    ] {
        one_refused(&push(scope), 4, "cannot be a scope");
    }
}

#[test]
fn operations_of_two_kinds_have_no_scope_in_common() {
    let keys = "effect = \"deny\"\nop = [\"rm\", \"git-push\"]\nscope = \"/srv/x\"";
    one_refused(keys, 3, "make two rules");
    assert_eq!(
        one("effect = \"deny\"\nop = [\"rm\", \"git-push\"]").matter,
        Matter::Anything
    );
    one_refused(
        "effect = \"deny\"\nop = \"rm\"\nscope = \"github.com/o/r\"",
        4,
        "begins neither",
    );
}

#[test]
fn argv_is_about_commands_and_each_pattern_is_checked() {
    assert_eq!(
        one("effect = \"deny\"\nop = \"exec\"\nargv = [\"x\"]")
            .actions
            .to_string(),
        "exec"
    );
    one_refused(
        "effect = \"deny\"\nop = \"rm\"\nargv = [\"x\", \"**\"]",
        3,
        "op says rm",
    );
    one_refused(
        "effect = \"deny\"\nop = [\"exec\", \"rm\"]\nargv = [\"x\"]",
        3,
        "op says",
    );
    one_refused("effect = \"deny\"\nargv = []", 3, "no pattern");
    one_refused("effect = \"deny\"\nargv = \"rm -rf\"", 3, "invalid type");
    one_refused(
        "effect = \"deny\"\nargv = [\n\"x\",\n\"[a\"]",
        5,
        "'[a' is not a pattern",
    );
    one_refused(
        "effect = \"deny\"\nargv = [\n\"x\",\n\"**\",\n\"y\"]",
        5,
        "the rest of the words",
    );
    one_refused(
        "effect = \"deny\"\nargv = [\"x\",\n\"a**\"]",
        4,
        "the rest of the words",
    );
    one_refused(
        "effect = \"deny\"\nargv = [\"\", \"x\"]",
        3,
        "matches nothing",
    );
    one_refused("effect = \"deny\"\nargv = [\"x\",\n\"a\\u0000\"]", 4, "NUL");
    let many = vec!["\"x\""; 101].join(",");
    one_refused(
        &format!("effect = \"deny\"\nargv = [{many}]"),
        3,
        "more than 100",
    );
    one_refused(
        "effect = \"deny\"\nargv = [\"x\"]\nscope = \"github.com/o/r\"",
        4,
        "begins neither",
    );
}

#[test]
fn v_d15_an_allow_with_a_name_or_a_directory_in_it_stands() {
    for word in [
        "py*",
        "/usr/share/*",
        "/opt/tools/*",
        "/usr/bin/py*",
        "[x]",
        "*-gcc",
        "?x",
    ] {
        one(&format!("effect = \"allow\"\nargv = [\"{word}\", \"**\"]"));
    }
}

#[test]
fn a_rule_over_words_that_never_run_says_what_to_write() {
    for (word, instead) in [
        ("rm", "op = \"rm\""),
        ("/bin/rm", "op = \"rm\""),
        ("safe-rm", "op = \"rm\""),
        ("trash-put", "op = \"trash\""),
        ("safe-trash", "op = \"trash\""),
        ("trash", "op = \"trash\""),
        ("git", "git-push-force"),
        ("safe-git-push", "git-push-force"),
        ("pvm", "never runs pvm"),
    ] {
        for effect in Effect::ALL {
            let text = format!("effect = \"{effect}\"\nargv = [\"{word}\", \"**\"]");
            one_refused(&text, 3, instead);
        }
    }
    one("effect = \"deny\"\nargv = [\"rmdir\", \"**\"]");
    one_refused(
        "effect = \"deny\"\nop = [\"rm\", \"trash\", \"rm\"]\nscope = \"/x\"",
        3,
        "op names rm twice",
    );
}

#[test]
fn v_d15_an_allow_that_is_too_broad_is_an_error() {
    for words in [
        "[\"**\"]",
        "[\"*\", \"**\"]",
        "[\"*\"]",
        "[\"?*\", \"**\"]",
        "[\"*[!x]\", \"**\"]",
        "[\"[a-z]*\", \"x\"]",
        "[\"[!]]*\"]",
        "[\"/*\", \"**\"]",
        "[\"/?*\"]",
        "[\"/usr/*\"]",
        "[\"/usr/bin/*\"]",
        "[\"/usr/bin/[!x]?*\"]",
        "[\"/*/bin/*\"]",
    ] {
        one_refused(
            &format!("effect = \"allow\"\nargv = {words}"),
            3,
            "every program",
        );
        one(&format!("effect = \"deny\"\nargv = {words}"));
        one(&format!(
            "effect = \"allow\"\nargv = {words}\nscope = \"/srv/x\""
        ));
    }
    for word in ["./x", "bin/x", "../x", "*/x"] {
        one_refused(
            &format!("effect = \"allow\"\nargv = [\"{word}\"]"),
            3,
            "from the root",
        );
        one(&format!("effect = \"deny\"\nargv = [\"{word}\"]"));
    }
    for word in [
        "/usr/bin/../x",
        "/usr//bin/x",
        "/usr/bin/x/",
        "//usr/bin/x",
        "/usr/./bin/x",
        "/usr/bin/../*",
    ] {
        for effect in Effect::ALL {
            one_refused(
                &format!("effect = \"{effect}\"\nargv = [\"{word}\"]"),
                3,
                "matches nothing",
            );
        }
    }
    for scope in ["/home/a", "/home", "/root"] {
        let keys = format!("op = \"rm\"\nscope = \"{scope}\"");
        one_refused(
            &format!("effect = \"allow\"\n{keys}"),
            4,
            "a whole home directory",
        );
        one(&format!("effect = \"deny\"\n{keys}"));
    }
    assert_eq!(
        one("effect = \"allow\"\nop = \"rm\"\nscope = \"~/x\"").number,
        Some(1)
    );
}

fn table(keys: &str) -> String {
    let lines = keys.replace("; ", "\n");
    format!("[[permissions.rules]]\n{lines}\n")
}

#[test]
fn a_rule_that_can_never_decide_is_an_error() {
    for (first, second) in [
        ("effect='allow'; scope='/x'", "effect='allow'; scope='/x'"),
        ("effect='deny'; scope='/x'", "effect='allow'; scope='/x'"),
        (
            "effect='deny'; op='rm'",
            "effect='deny'; op='rm'; scope='/x'",
        ),
        ("effect='deny'; op='rm'", "effect='ask'; op='rm'; agent='a'"),
        (
            "effect='ask'; op=['rm','trash']; scope='/x'",
            "effect='ask'; op='rm'; scope='/x'",
        ),
        ("effect='allow'; scope='/x'", "effect='allow'; scope='/x/y'"),
        (
            "effect='deny'; scope='/x'",
            "effect='allow'; op='rm'; scope='/x/y'",
        ),
        (
            "effect='deny'; argv=['go','**']",
            "effect='allow'; argv=['go','log']",
        ),
        (
            "effect='deny'; argv=['go','**']",
            "effect='deny'; argv=['go','**']",
        ),
        (
            "effect='deny'; argv=['go','log','**']",
            "effect='deny'; argv=['go','log','-p','**']",
        ),
        ("effect='deny'; op='exec'", "effect='deny'; argv=['go']"),
        (
            "effect='ask'; argv=['make']",
            "effect='allow'; argv=['make']; scope='/x'",
        ),
        (
            "effect='allow'; op='exec'; scope='/x'",
            "effect='allow'; argv=['make']; scope='/x'",
        ),
        (
            "effect='deny'; op='exec'; scope='/x'",
            "effect='allow'; argv=['make']; scope='/x/y'",
        ),
        (
            "effect='deny'; op='git-push-force'; scope='g.com/o/r'",
            "effect='allow'; op='git-push-force'; scope='g.com/o/r#refs/heads/x'",
        ),
    ] {
        let text = table(first) + &table(second);
        let line = 2 + table(first).lines().count() - 1;
        refused(&text, line, "it can never decide: rule 1 (pvm.toml:1)");
    }
}

#[test]
fn a_rule_that_can_decide_something_stands() {
    for (first, second) in [
        ("effect='allow'; scope='/x'", "effect='deny'; scope='/x'"),
        ("effect='allow'; scope='/x'", "effect='ask'; scope='/x/y'"),
        // Links can lead out of the outer scope.
        ("effect='deny'; scope='/x'", "effect='deny'; scope='/x/y'"),
        (
            "effect='deny'; op='rm'; scope='/x'",
            "effect='deny'; op='trash'; scope='/x'",
        ),
        (
            "effect='deny'; op='rm'; agent='a'",
            "effect='deny'; op='rm'; agent='b'",
        ),
        (
            "effect='deny'; op='rm'; agent='a'",
            "effect='deny'; op='rm'",
        ),
        ("effect='allow'; scope='/x/y'", "effect='allow'; scope='/x'"),
        ("effect='allow'; scope='/x'", "effect='allow'; scope='/xy'"),
        (
            "effect='deny'; argv=['go','log']",
            "effect='deny'; argv=['go','log','**']",
        ),
        (
            "effect='deny'; argv=['go','*']",
            "effect='deny'; argv=['go','log']",
        ),
        (
            "effect='allow'; argv=['make']; scope='/x'",
            "effect='allow'; argv=['make']; scope='/y'",
        ),
        // The second confines a command to less.
        (
            "effect='allow'; argv=['make']",
            "effect='allow'; argv=['make']; scope='/x'",
        ),
        (
            "effect='allow'; op='exec'; scope='/x'",
            "effect='allow'; argv=['make']; scope='/x/y'",
        ),
        (
            "effect='allow'; op=['exec','rm']; scope='/x'",
            "effect='allow'; op='exec'; scope='/x'",
        ),
    ] {
        assert_eq!(
            rules(&(table(first) + &table(second))).len(),
            2,
            "{first} {second}"
        );
    }
}

#[test]
fn ten_thousand_rules_are_read_and_not_one_more() {
    let all = |count: usize| -> String {
        let tables = (0..count).map(|number| table(&format!("effect='deny'; scope='/x/{number}'")));
        tables.collect()
    };
    assert_eq!(rules(&all(10_000)).len(), 10_000);
    refused(&all(10_001), 30_001, "more than 10000 rules");
}

#[test]
fn workspaces_are_rules_for_the_trash() {
    let rules = rules(
        "[trash]\nworkspaces = [\n  \"~/src\",\n  { path = \"/srv/w\", agent = \"claude\" },\n]\n\
         [[permissions.rules]]\neffect = \"deny\"\nscope = \"/srv/w/keep\"\n",
    );
    let shown: Vec<_> = rules
        .iter()
        .map(|rule| {
            (
                rule.effect,
                rule.actions.to_string(),
                rule.number,
                rule.origin.as_str(),
            )
        })
        .collect();
    assert_eq!(
        shown,
        [
            (
                Effect::Deny,
                "rm,trash,exec".to_owned(),
                Some(1),
                "rule 1 (pvm.toml:6)"
            ),
            (
                Effect::Allow,
                "trash".to_owned(),
                None,
                "trash.workspaces (pvm.toml:3)"
            ),
            (
                Effect::Allow,
                "trash".to_owned(),
                None,
                "trash.workspaces (pvm.toml:4)"
            ),
        ]
    );
    assert_eq!(rules[1].scope().unwrap().as_bytes(), b"/home/a/src");
    assert_eq!(rules[2].agent.as_ref().unwrap().as_str(), "claude");
    for (list, line, why) in [
        ("\"/srv/*\"", 2, "not a pattern"),
        (
            "\"/srv/w\",\n\"/srv/w\"",
            3,
            "it can never decide: trash.workspaces (pvm.toml:2)",
        ),
        (
            "\"/srv/w\",\n\"/srv/w/x\"",
            3,
            "it can never decide: trash.workspaces (pvm.toml:2)",
        ),
        ("\"~/src\",\n\"/home/a\"", 3, "a whole home directory"),
        ("1", 2, "a workspace is a path"),
        ("{ agent = \"a\" }", 2, "a workspace is a path"),
        (
            "{ path = \"/srv/w\", who = \"a\" }",
            2,
            "a workspace is a path",
        ),
        (
            "{ path = \"/srv/w\", agent = 1 }",
            2,
            "a workspace is a path",
        ),
        (
            "{ path = \"/srv/w\", agent = \"a b\" }",
            2,
            "an agent's name is",
        ),
    ] {
        refused(&format!("[trash]\nworkspaces = [{list}]"), line, why);
    }
}

#[test]
fn the_tool_of_the_trash_is_a_name_and_its_words() {
    let tool =
        |value: &str| read(&format!("[trash]\ntool = {value}")).map(|config| config.trash_tool);
    let words = |words: &[&str]| Some(words.iter().map(OsString::from).collect::<Vec<_>>());
    assert_eq!(tool("\"trash-put\"").unwrap(), words(&["trash-put"]));
    assert_eq!(
        tool("[\"gio\", \"trash\"]").unwrap(),
        words(&["gio", "trash"])
    );
    assert_eq!(read("").unwrap().trash_tool, None);
    assert_eq!(tool("[]").unwrap(), None);
    for value in [
        "\"\"",
        "[\"\"]",
        "\"gio trash\"",
        "\"/usr/bin/gio\"",
        "[\"-x\"]",
        "[\"gio\", 1]",
        "1",
    ] {
        assert!(
            tool(value)
                .unwrap_err()
                .contains("/etc/pvm.toml:2: trash.tool is"),
            "{value}"
        );
    }
}

#[test]
fn a_plain_push_is_allowed_unless_it_is_said_otherwise() {
    assert_eq!(read("").unwrap().policy, Policy::default());
    let config = read("git.plain_push = \"deny\"\npermissions.resolve_commands = false").unwrap();
    assert_eq!(config.policy.plain_push, Effect::Deny);
    assert!(!config.resolve_commands);
    refused("[git]\nplain_push = \"yes\"", 2, "it is allow, ask or deny");
}
