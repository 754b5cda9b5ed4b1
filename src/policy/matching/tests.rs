use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;
use std::path::PathBuf;
use std::rc::Rc;

use proptest::prelude::*;

use super::*;
use crate::model::action::ActionSet;
use crate::model::agent::AgentName;

fn agent(name: &str) -> Agent {
    Agent {
        name: AgentName::parse(name).unwrap(),
        uid: 1000,
        pid: 1,
    }
}

fn scope(path: &str) -> PathScope {
    PathScope::new(Path::new(path)).unwrap()
}

fn rule(effect: Effect, action: Action, matter: Matter) -> Rule {
    Rule {
        effect,
        actions: ActionSet::of(&[action]).unwrap(),
        matter,
        agent: None,
        reason: String::new(),
        recorded_at: None,
        number: None,
        origin: String::new(),
    }
}

fn on_path(effect: Effect, path: &str) -> Rule {
    rule(effect, Action::Rm, Matter::Scope(scope(path).into()))
}

fn on_words(effect: Effect, words: &[&str]) -> Rule {
    let words = Words::parse(words).unwrap();
    rule(
        effect,
        Action::Exec,
        Matter::Command {
            words,
            within: None,
        },
    )
}

fn target(path: &str, recursive: bool) -> Target {
    Target {
        operand: OsString::from(path),
        position: 1,
        scope: scope(path),
        kind: if recursive {
            TargetKind::Directory
        } else {
            TargetKind::Entry
        },
        identity: None,
        lineage: Rc::from([]),
        recursive,
    }
}

fn command(words: &[&str], program: &str, inner: &[usize]) -> Invocation {
    Invocation {
        words: words.iter().map(OsString::from).collect(),
        program: PathBuf::from(program),
        directory: Some(scope("/w/here")),
        inner: inner.to_vec(),
        ..Invocation::default()
    }
}

fn policy(rules: Vec<Rule>) -> Policy {
    Policy {
        rules,
        ..Policy::default()
    }
}

fn decided(rules: &[Rule], sites: &Sites, action: Action, subject: Subject<'_>) -> Option<Effect> {
    let agent = agent("claude");
    let question = Question {
        action,
        agent: &agent,
        subject,
    };
    strongest(&policy(rules.to_vec()), sites, question).map(|rule| rule.effect)
}

fn of_target(rules: &[Rule], target: &Target) -> Option<Effect> {
    decided(rules, &Sites::default(), Action::Rm, Subject::Path(target))
}

fn of_command(rules: &[Rule], command: &Invocation) -> Option<Effect> {
    decided(
        rules,
        &Sites::default(),
        Action::Exec,
        Subject::Command(command),
    )
}

#[test]
fn v_d12_a_rule_for_a_name_is_not_one_for_a_longer_name() {
    let rules = [on_words(Effect::Allow, &["git", "**"])];
    assert_eq!(
        of_command(&rules, &command(&["git"], "/usr/bin/git", &[])),
        Some(Effect::Allow)
    );
    assert_eq!(
        of_command(&rules, &command(&["gitevil"], "/usr/bin/gitevil", &[])),
        None
    );
    let rules = [on_words(Effect::Deny, &["rm", "**"])];
    assert_eq!(
        of_command(&rules, &command(&["rmdir", "x"], "/usr/bin/rmdir", &[])),
        None
    );
}

#[test]
fn path_01_a_rule_for_a_path_is_not_one_for_its_neighbour() {
    let rules = [on_path(Effect::Allow, "/tmp/x")];
    assert_eq!(
        of_target(&rules, &target("/tmp/x/y", false)),
        Some(Effect::Allow)
    );
    assert_eq!(of_target(&rules, &target("/tmp/xy", false)), None);
    assert_eq!(of_target(&rules, &target("/tmp", true)), None);
}

#[test]
fn p_d29_below_a_directory_is_not_the_directory_itself() {
    let rules = [rule(
        Effect::Allow,
        Action::Rm,
        Matter::Below(scope("/w/ws").into()),
    )];
    for (path, expected) in [
        ("/w/ws/f", Some(Effect::Allow)),
        ("/w/ws/d/f", Some(Effect::Allow)),
        ("/w/ws", None),
        ("/w", None),
        ("/w/ws-evil", None),
        ("/w/ws-evil/f", None),
    ] {
        for recursive in [false, true] {
            assert_eq!(
                of_target(&rules, &target(path, recursive)),
                expected,
                "{path}"
            );
        }
    }
}

#[test]
fn v_d13_a_chain_in_one_word_is_one_word() {
    let rules = [on_words(Effect::Allow, &["cargo", "fmt"])];
    let chained = command(&["cargo", "fmt && rm -rf ~"], "/usr/bin/cargo", &[]);
    assert_eq!(of_command(&rules, &chained), None);
    let several = command(&["cargo", "fmt", "&&", "rm"], "/usr/bin/cargo", &[]);
    assert_eq!(of_command(&rules, &several), None);
}

#[test]
fn v_d17_a_newline_does_not_hide_from_a_deny() {
    let rules = [on_words(Effect::Deny, &["curl", "*evil*"])];
    let hidden = command(&["curl", "a\nevil\nb"], "/usr/bin/curl", &[]);
    assert_eq!(of_command(&rules, &hidden), Some(Effect::Deny));
}

#[test]
fn v_d23_what_env_would_run_is_denied_and_never_allowed_by_it() {
    let through = command(&["env", "A=1", "curl", "x"], "/usr/bin/env", &[1, 2, 3]);
    for effect in [Effect::Deny, Effect::Ask] {
        let rules = [on_words(effect, &["curl", "**"])];
        assert_eq!(of_command(&rules, &through), Some(effect));
    }
    assert_eq!(
        of_command(&[on_words(Effect::Allow, &["curl", "**"])], &through),
        None
    );
    // A program that runs nothing only has a word that looks the same.
    let word = command(&["echo", "curl", "x"], "/usr/bin/echo", &[]);
    assert_eq!(
        of_command(&[on_words(Effect::Deny, &["curl", "**"])], &word),
        None
    );
}

#[test]
fn v_d25_another_file_of_that_name_is_not_allowed_and_is_denied() {
    for (typed, program) in [
        ("/tmp/evil/git", "/tmp/evil/git"),
        ("./git", "/w/here/git"),
        ("/usr/bin/../../tmp/evil/git", "/tmp/evil/git"),
    ] {
        let other = command(&[typed], program, &[]);
        for words in [["git"], ["/usr/bin/git"], ["*git"], ["/usr/bin/*"]] {
            let allowed = of_command(&[on_words(Effect::Allow, &words)], &other);
            assert_eq!(allowed, None, "{words:?} {typed}");
        }
        let denied = of_command(&[on_words(Effect::Deny, &["git"])], &other);
        assert_eq!(denied, Some(Effect::Deny), "{typed}");
    }
    // The same file under another name is denied as well.
    let renamed = command(&["tig"], "/usr/bin/git", &[]);
    assert_eq!(
        of_command(&[on_words(Effect::Deny, &["git"])], &renamed),
        Some(Effect::Deny)
    );
    assert_eq!(
        of_command(&[on_words(Effect::Allow, &["git"])], &renamed),
        None
    );
}

#[test]
fn v_d25_a_path_with_dots_in_it_is_in_no_directory_that_is_allowed() {
    for (typed, program) in [
        ("/usr/share/../bin/perl", "/usr/bin/perl"),
        ("/usr/share/../bin/perl", "/usr/share/../bin/perl"),
        ("/usr/share//x", "/usr/share//x"),
        ("perl", "/usr/share/./../bin/perl"),
    ] {
        let other = command(&[typed], program, &[]);
        let rules = [on_words(Effect::Allow, &["/usr/share/*"])];
        assert_eq!(of_command(&rules, &other), None, "{typed} {program}");
    }
}

#[test]
fn v_d23_a_command_that_is_cut_out_of_a_word_is_denied_by_how_it_begins() {
    let mut through = command(&["env", "-S", "curl x;ls"], "/usr/bin/env", &[1, 2]);
    through.pieces = ["-S", "curl", "x", "ls"].map(OsString::from).to_vec();
    for (words, expected) in [
        (&["curl", "x"][..], Some(Effect::Deny)),
        (&["curl", "**"], Some(Effect::Deny)),
        (&["ls"], Some(Effect::Deny)),
        (&["curl", "y"], None),
        (&["ls", "x"], None),
    ] {
        assert_eq!(
            of_command(&[on_words(Effect::Deny, words)], &through),
            expected,
            "{words:?}"
        );
        assert_eq!(
            of_command(&[on_words(Effect::Allow, words)], &through),
            None
        );
    }
}

#[test]
fn v_d25_what_forbids_a_file_forbids_it_under_every_name() {
    let rules = |effect| [on_words(effect, &["python3", "x"])];
    let sites = |commands: &[usize]| {
        Sites::new(vec![Site {
            rule: 0,
            names: Vec::new(),
            ancestry: Vec::new(),
            commands: commands.to_vec(),
        }])
    };
    let decide = |effect, words: &[&str], same: &[usize]| {
        let inner: Vec<usize> = (1..words.len()).collect();
        let command = command(words, "/usr/bin/other", &inner);
        let subject = Subject::Command(&command);
        decided(&rules(effect), &sites(same), Action::Exec, subject)
    };
    for effect in [Effect::Deny, Effect::Ask] {
        assert_eq!(decide(effect, &["mine", "x"], &[0]), Some(effect));
        assert_eq!(decide(effect, &["env", "mine", "x"], &[1]), Some(effect));
        assert_eq!(decide(effect, &["mine", "y"], &[0]), None);
        assert_eq!(decide(effect, &["mine", "x"], &[]), None);
    }
    assert_eq!(decide(Effect::Allow, &["mine", "x"], &[0]), None);
}

#[test]
fn a_path_allows_the_program_however_it_is_typed() {
    let rules = [on_words(Effect::Allow, &["/usr/bin/git", "**"])];
    for typed in ["git", "/usr/bin/git", "../bin/git"] {
        let by = command(&[typed, "log"], "/usr/bin/git", &[]);
        assert_eq!(of_command(&rules, &by), Some(Effect::Allow), "{typed}");
    }
}

#[test]
fn v_d35_words_that_are_no_text_are_denied_by_a_pattern_and_never_allowed() {
    let mut odd = command(&["x"], "/usr/bin/x", &[]);
    odd.words.push(OsString::from_vec(b"a\xff".to_vec()));
    assert_eq!(
        of_command(&[on_words(Effect::Allow, &["x", "*"])], &odd),
        None
    );
    assert_eq!(
        of_command(&[on_words(Effect::Deny, &["x", "*"])], &odd),
        Some(Effect::Deny)
    );
}

#[test]
fn what_forbids_holds_for_a_directory_that_takes_it_along() {
    for effect in [Effect::Deny, Effect::Ask] {
        let rules = [on_path(Effect::Allow, "/w"), on_path(effect, "/w/a/keep")];
        assert_eq!(of_target(&rules, &target("/w/a", true)), Some(effect));
        assert_eq!(
            of_target(&rules, &target("/w/a", false)),
            Some(Effect::Allow)
        );
        assert_eq!(
            of_target(&rules, &target("/w/b", true)),
            Some(Effect::Allow)
        );
    }
}

#[test]
fn what_forbids_holds_under_every_name_and_an_allow_under_its_own() {
    let identity = |inode| FileIdentity { device: 1, inode };
    let sites = |rule| {
        Sites::new(vec![Site {
            rule,
            names: vec![scope("/real/keep")],
            ancestry: vec![identity(30), identity(20), identity(2)],
            commands: Vec::new(),
        }])
    };
    let by_name = target("/real/keep/f", false);
    let mut by_identity = target("/bound/f", false);
    by_identity.lineage = Rc::from([identity(30), identity(2)]);
    let mut itself = target("/bound", true);
    itself.identity = Some(identity(30));
    let mut above = target("/mount", true);
    above.identity = Some(identity(20));
    for target in [&by_name, &by_identity, &itself, &above] {
        let subject = Subject::Path(target);
        // The site belongs to the second rule, behind one that has none.
        let rules = [
            on_path(Effect::Ask, "/x"),
            on_path(Effect::Deny, "/link/keep"),
        ];
        let path = target.scope.as_path();
        assert_eq!(
            decided(&rules, &sites(1), Action::Rm, subject),
            Some(Effect::Deny),
            "{path:?}"
        );
        assert_eq!(
            decided(&rules, &Sites::default(), Action::Rm, subject),
            None,
            "{path:?}"
        );
        let allow = [on_path(Effect::Allow, "/link/keep")];
        assert_eq!(
            decided(&allow, &sites(0), Action::Rm, subject),
            None,
            "{path:?}"
        );
    }
    above.recursive = false;
    let rules = [on_path(Effect::Deny, "/link/keep")];
    assert_eq!(
        decided(&rules, &sites(0), Action::Rm, Subject::Path(&above)),
        None
    );
}

#[test]
fn a_rule_for_an_agent_is_not_for_another() {
    let mut rules = [on_path(Effect::Allow, "/w")];
    rules[0].agent = Some(AgentName::parse("codex").unwrap());
    assert_eq!(of_target(&rules, &target("/w/f", false)), None);
    rules[0].agent = Some(AgentName::parse("claude").unwrap());
    assert_eq!(
        of_target(&rules, &target("/w/f", false)),
        Some(Effect::Allow)
    );
}

#[test]
fn p_d13_a_rule_for_an_operation_is_not_for_another() {
    let rules = [on_path(Effect::Allow, "/w")];
    let target = target("/w/f", false);
    let trash = decided(
        &rules,
        &Sites::default(),
        Action::Trash,
        Subject::Path(&target),
    );
    assert_eq!(trash, None);
}

#[test]
fn a_push_to_refs_that_are_not_known_may_reach_the_one_that_is_forbidden() {
    let repository = |text: &str| RepositoryScope::parse(text.as_bytes()).unwrap();
    let on = |effect, text| {
        let scope = Scope::Repository(repository(text));
        [rule(effect, Action::GitPushForce, Matter::Scope(scope))]
    };
    let whole = repository("github.com/o/r");
    let subject = Subject::Repository(&whole);
    let ask = |rules: &[Rule]| decided(rules, &Sites::default(), Action::GitPushForce, subject);
    let main = "github.com/o/r#refs/heads/main";
    assert_eq!(ask(&on(Effect::Deny, main)), Some(Effect::Deny));
    assert_eq!(ask(&on(Effect::Allow, main)), None);
    assert_eq!(
        ask(&on(Effect::Allow, "github.com/o/r")),
        Some(Effect::Allow)
    );
    assert_eq!(ask(&on(Effect::Deny, "github.com/o/other")), None);
}

#[test]
fn a_command_without_words_is_in_its_directory_all_the_same() {
    let here = command(&[], "", &[]);
    let within = |path| {
        rule(
            Effect::Deny,
            Action::Exec,
            Matter::Scope(scope(path).into()),
        )
    };
    assert_eq!(of_command(&[within("/w")], &here), Some(Effect::Deny));
    assert_eq!(of_command(&[within("/v")], &here), None);
    assert_eq!(of_command(&[on_words(Effect::Allow, &["**"])], &here), None);
}

/// What the rules mean, as plainly as it can be said.
fn naive(rules: &[Rule], agent: &Agent, target: &Target) -> Option<Effect> {
    let below =
        |outer: &str, inner: &str| inner == outer || inner.starts_with(&format!("{outer}/"));
    let text = |scope: &PathScope| scope.as_path().to_str().unwrap().to_owned();
    let says = |effect: Effect| {
        rules.iter().any(|rule| {
            let Matter::Scope(Scope::Path(scope)) = &rule.matter else {
                panic!("only paths are generated")
            };
            let (scope, path) = (text(scope), text(&target.scope));
            let along = effect != Effect::Allow && target.recursive && below(&path, &scope);
            rule.effect == effect
                && rule.actions.contains(Action::Rm)
                && rule.agent.as_ref().is_none_or(|name| *name == agent.name)
                && (below(&scope, &path) || along)
        })
    };
    [Effect::Deny, Effect::Ask, Effect::Allow]
        .into_iter()
        .find(|effect| says(*effect))
}

fn paths() -> impl Strategy<Value = String> {
    prop::collection::vec(prop::sample::select(vec!["a", "b", "ab"]), 1..4)
        .prop_map(|names| format!("/{}", names.join("/")))
}

fn rules() -> impl Strategy<Value = Rule> {
    (
        prop::sample::select(Effect::ALL.to_vec()),
        prop::sample::select(vec![
            vec![Action::Rm],
            vec![Action::Trash],
            Action::ALL.to_vec(),
        ]),
        paths(),
        prop::sample::select(vec![None, Some("claude"), Some("codex")]),
    )
        .prop_map(|(effect, actions, path, agent)| Rule {
            actions: ActionSet::of(&actions).unwrap(),
            agent: agent.map(|name| AgentName::parse(name).unwrap()),
            ..on_path(effect, &path)
        })
}

proptest! {
    #[test]
    fn deny_beats_ask_and_ask_beats_allow_in_any_order(
        rules in prop::collection::vec(rules(), 0..8),
        path in paths(),
        recursive: bool,
    ) {
        let target = target(&path, recursive);
        let expected = naive(&rules, &agent("claude"), &target);
        prop_assert_eq!(of_target(&rules, &target), expected);
        let mut reversed = rules;
        reversed.reverse();
        prop_assert_eq!(of_target(&reversed, &target), expected);
    }

    #[test]
    fn the_rule_that_decides_is_the_strongest_then_the_narrowest_allow_then_the_first(
        rules in prop::collection::vec(rules(), 0..8),
        path in paths(),
    ) {
        let (agent, target) = (agent("claude"), target(&path, true));
        let question = Question { action: Action::Rm, agent: &agent, subject: Subject::Path(&target) };
        let policy = policy(rules);
        let matching = all(&policy, &Sites::default(), question);
        let strength = |rule: &&&Rule| match rule.effect {
            Effect::Allow => (Effect::Allow, rule.scope().unwrap().as_bytes().len()),
            effect => (effect, 0),
        };
        let first = matching.iter().rev().max_by_key(strength).copied();
        let decides = strongest(&policy, &Sites::default(), question);
        prop_assert_eq!(decides.map(std::ptr::from_ref), first.map(std::ptr::from_ref));
    }
}

#[test]
fn v_d12_of_several_allows_the_one_that_confines_decides_wherever_it_stands() {
    let within = |path: &str, actions: &[Action]| Rule {
        actions: ActionSet::of(actions).unwrap(),
        origin: path.to_owned(),
        ..rule(
            Effect::Allow,
            Action::Exec,
            Matter::Scope(scope(path).into()),
        )
    };
    let free = on_words(Effect::Allow, &["touch", "**"]);
    let outer = within("/w", &[Action::Exec]);
    let inner = within("/w/here", &[Action::Exec]);
    let removing = within("/w/here", &[Action::Exec, Action::Rm]);
    let touch = command(&["touch", "x"], "/usr/bin/touch", &[]);
    let agent = agent("claude");
    let question = Question {
        action: Action::Exec,
        agent: &agent,
        subject: Subject::Command(&touch),
    };
    let ranked = [inner, removing, outer, free];
    for (index, narrower) in ranked.iter().enumerate() {
        for wider in ranked.iter().skip(index + 1) {
            for rules in [[narrower, wider], [wider, narrower]] {
                let rules = policy(rules.into_iter().cloned().collect());
                let chosen = strongest(&rules, &Sites::default(), question);
                assert_eq!(chosen, Some(narrower));
            }
        }
    }
    // Where the kernel cannot express a scope, the one above it is what confines.
    let rules = [on_path(Effect::Allow, "/w/f"), on_path(Effect::Allow, "/w")];
    let file = target("/w/f", false);
    let question = Question {
        action: Action::Rm,
        subject: Subject::Path(&file),
        ..question
    };
    for rules in [vec![&rules[0], &rules[1]], vec![&rules[1], &rules[0]]] {
        let rules = policy(rules.into_iter().cloned().collect());
        let chosen = strongest(&rules, &Sites::default(), question);
        assert_eq!(chosen.and_then(Rule::scope), Some(&scope("/w").into()));
    }
}
