use super::*;

fn path() -> &'static Path {
    Path::new("/p.toml")
}

fn deny(scope: &str) -> NewRule {
    NewRule {
        effect: Effect::Deny,
        actions: vec![Action::Rm, Action::Trash],
        scope: Some(scope.to_owned()),
        argv: Vec::new(),
        agent: None,
        reason: None,
        recorded_at: Some(Timestamp(0)),
    }
}

const COMMENTED: &str = "# mine\n[vault] # a\npath = '/v/v.db'  # b\n\n# why\n\
                         [[permissions.rules]] # c\n  effect = \"deny\" # d\n  # e\n\
                         argv = [\n \"x\", # f\n] # g\n# h\n\n[[permissions.rules]]\n\
                         effect='ask'\nscope='/y'\n# the end\n";

#[test]
fn a_rule_is_added_at_the_end_and_taken_out_again_without_a_trace() {
    for text in [
        "",
        COMMENTED,
        "[exec]\r\nlandlock = \"off\"\r\n",
        "permissions.rules = []\n",
    ] {
        let with = added(path(), text, &deny("/x")).unwrap();
        let count = with.matches("effect").count();
        assert_eq!(count, text.matches("effect").count() + 1);
        if !text.contains("= []") {
            assert!(with.starts_with(text), "{with}");
        }
        assert_eq!(with.contains("\r\n"), text.contains("\r\n"));
        assert_eq!(
            with.matches('\n').count(),
            if text.contains('\r') {
                with.matches("\r\n").count()
            } else {
                with.matches('\n').count()
            }
        );
        let (without, rule) = removed(path(), &with, count).unwrap();
        assert_eq!(without, text);
        assert!(rule.contains("/x"), "{rule}");
    }
}

#[test]
fn a_last_line_without_an_end_gets_one() {
    let with = added(path(), "exec.landlock = 'off' # x", &deny("/x")).unwrap();
    assert!(
        with.starts_with("exec.landlock = 'off' # x\n\n[[permissions.rules]]\n"),
        "{with}"
    );
}

#[test]
fn only_the_lines_of_the_rule_go() {
    let (without, rule) = removed(path(), COMMENTED, 1).unwrap();
    assert!(
        rule.starts_with("[[permissions.rules]] # c\n") && rule.ends_with("] # g"),
        "{rule}"
    );
    let expected = "# mine\n[vault] # a\npath = '/v/v.db'  # b\n\n# why\n# h\n\n\
                    [[permissions.rules]]\neffect='ask'\nscope='/y'\n# the end\n";
    assert_eq!(without, expected);
    let (without, _) = removed(path(), COMMENTED, 2).unwrap();
    assert!(without.ends_with("] # g\n# h\n# the end\n"), "{without}");
    for number in [0, 3] {
        assert!(matches!(
            removed(path(), COMMENTED, number),
            Err(ChangeError::NoRule(_))
        ));
    }
    assert!(matches!(
        removed(path(), "", 1),
        Err(ChangeError::NoRule(1))
    ));
}

#[test]
fn every_way_to_write_rules_can_be_changed() {
    for text in [
        "permissions = { resolve_commands = true }\n",
        "permissions = { rules = [{ effect = 'ask', op = 'rm' }] }\n",
        "[permissions]\nrules = [\n  { effect = 'ask', op = 'rm' }, # a\n]\n",
        "permissions.resolve_commands = true\n[exec]\nlandlock = 'off'\n",
        "[permissions]\nresolve_commands = true\n\n[exec]\n",
    ] {
        let with = added(path(), text, &deny("/x")).unwrap();
        let count = with.matches("effect").count();
        assert_eq!(count, text.matches("effect").count() + 1, "{with}");
        assert_eq!(
            with.matches(" # a").count(),
            text.matches(" # a").count(),
            "{with}"
        );
        let (without, rule) = removed(path(), &with, count).unwrap();
        assert!(rule.contains("/x") && !without.contains("/x"), "{without}");
        let document: DocumentMut = without.parse().unwrap();
        assert!(document.get("permissions").is_some() || !text.contains("permissions"));
    }
}

#[test]
fn what_is_no_list_of_rules_is_not_replaced() {
    for text in ["permissions.rules = 1", "[permissions.rules]\nx = 1"] {
        let error = added(path(), text, &deny("/x")).unwrap_err();
        assert!(matches!(error, ChangeError::Strange(_)), "{text}");
    }
    assert!(matches!(
        added(path(), "a = = b", &deny("/x")),
        Err(ChangeError::Unreadable { .. })
    ));
}

#[test]
fn a_text_cannot_break_out_of_its_value() {
    let odd = "'''\"\"\"\\\n[[permissions.rules]]\neffect = \"allow\"\n\u{1b}";
    let rule = NewRule {
        reason: Some(odd.to_owned()),
        argv: vec![odd.to_owned()],
        ..deny(odd)
    };
    let with = added(path(), COMMENTED, &rule).unwrap();
    let document: DocumentMut = with.parse().unwrap();
    let rules = document["permissions"]["rules"]
        .as_array_of_tables()
        .unwrap();
    assert_eq!(rules.len(), 3);
    let last = rules.get(2).unwrap();
    for value in [&last["reason"], &last["scope"], &last["argv"][0]] {
        assert_eq!(value.as_str(), Some(odd));
    }
}
