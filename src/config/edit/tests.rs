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

#[test]
fn a_rule_of_a_list_is_taken_out_and_every_other_byte_stays() {
    let lines = "[permissions]\nrules = [ # z\n  # first\n  { op = 'rm', effect = 'ask' }, # a,\n  # second\n\
                 \t{ op = 'trash', effect = 'ask' }, # b\n  # third\n  { op = 'exec', effect = 'ask' } # c,\n  # end,\n] # y\n";
    let without = |number| removed(path(), lines, number).unwrap();
    let rows: Vec<&str> = lines.split_inclusive('\n').collect();
    for (number, row) in [(1, 3), (2, 5), (3, 7)] {
        let (text, rule) = without(number);
        assert_eq!(text, rows[..row].concat() + &rows[row + 1..].concat());
        assert!(rows[row].contains(&rule) && rule.starts_with("{ op"));
        let crlf = lines.replace('\n', "\r\n");
        let (text, _) = removed(path(), &crlf, number).unwrap();
        assert_eq!(text.replace("\r\n", "\n"), without(number).0);
        assert_eq!(text.matches('\n').count(), text.matches("\r\n").count());
    }
    for (text, number, expected) in [
        ("[{a=1}, {b=2}, {c=3}]", 1, "[{b=2}, {c=3}]"),
        ("[{a=1}, {b=2}, {c=3}]", 2, "[{a=1}, {c=3}]"),
        ("[{a=1}, {b=2} , {c=3} ]", 2, "[{a=1}, {c=3} ]"),
        ("[{a=1}, {b=2}, {c=3}]", 3, "[{a=1}, {b=2}]"),
        ("[ {a=1} ]", 1, "[  ]"),
        ("[{a=1}, # x\n{b=2}] # y", 1, "[# x\n{b=2}] # y"),
        ("[{a=1}, # x,\n {b=2}] # y", 2, "[{a=1}, # x,\n ] # y"),
        ("[{a=']'},\n{b=\"},{\"}, {c=','}]", 2, "[{a=']'},\n{c=','}]"),
    ] {
        let before = format!("permissions.rules = {text}\n");
        let after = format!("permissions.rules = {expected}\n");
        assert_eq!(removed(path(), &before, number).unwrap().0, after);
    }
}

#[test]
fn a_rule_whose_comma_is_elsewhere_is_left_to_a_person() {
    let text = "x = 1\npermissions.rules = [\n  {a=1} # a\n  , {b=2}\n]\n";
    let error = removed(path(), text, 1).unwrap_err();
    assert!(matches!(error, ChangeError::ByHand { number: 1, line: 3 }));
    assert!(
        error.to_string().ends_with("edit line 3 by hand"),
        "{error}"
    );
    assert_eq!(
        removed(path(), text, 2).unwrap().0,
        text.replace(", {b=2}", "")
    );
}

#[test]
fn a_rule_is_added_to_a_list_and_every_other_byte_stays() {
    let rule = deny("/x").to_string();
    for (text, expected) in [
        ("[]", "[RULE]"),
        ("[ ]", "[RULE ]"),
        ("[{a=1}]", "[{a=1}, RULE]"),
        ("[ {a=1}, ]", "[ {a=1}, RULE ]"),
        ("[\n]", "[\n  RULE,\n]"),
        (
            "[\n\t{a=1}, # a\n\t# b\n] # c",
            "[\n\t{a=1}, # a\n\t# b\n\tRULE,\n] # c",
        ),
        (
            "[\n    {a=1} # a,\n  ]",
            "[\n    {a=1}, # a,\n    RULE,\n  ]",
        ),
        ("[\r\n  {a=1} # a\r\n]", "[\r\n  {a=1}, # a\r\n  RULE,\r\n]"),
    ] {
        let before = format!("[permissions] # p\r\nrules = {text}\r\n# end\r\n");
        let after = before.replace(text, &expected.replace("RULE", &rule));
        assert_eq!(added(path(), &before, &deny("/x")).unwrap(), after);
    }
}
