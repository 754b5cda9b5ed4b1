use super::scene;
use crate::support::in_namespace;

/// Fills a small file system but for a few pages, and removes a file: with each page more, until
/// there is room. `code left` for each, then how the trail is.
const SCRIPT: &str = r#"
mount -t tmpfs -o size=1m,mode=700 tmpfs "$STATE" && "$BIN/pvm" init --yes >/dev/null &&
    "$BIN/pvm" grant --ttl 10m --scope "$WORK" >/dev/null || exit 99
dd if=/dev/zero of="$STATE/fill" bs=4k status=none 2>/dev/null
for pages in 0 1 2 3 4 5 6 8 12 16 24; do
    truncate -s 0 "$STATE/fill"
    free=$(($(stat -f -c %a "$STATE") - pages))
    dd if=/dev/zero of="$STATE/fill" bs=4k count=$free status=none 2>/dev/null
    : >"$WORK/file"
    "$BIN/safe-rm" "$WORK/file" 2>"$WORK/said"
    code=$?
    [ -e "$WORK/file" ] && left=left || left=gone
    echo "$pages $code $left $(head -n 1 "$WORK/said")"
    "$BIN/pvm" audit verify >/dev/null 2>"$WORK/said" || echo "verify $? $(head -n 1 "$WORK/said")"
done
rm "$STATE/fill"
"$BIN/pvm" audit verify >/dev/null || echo "verify $?"
"#;

#[test]
fn db_06_and_aud_11_a_full_disk_refuses_and_loses_nothing() {
    let scene = scene();
    let Some(ran) = in_namespace(&scene, "a full file system", SCRIPT) else {
        return;
    };
    ran.exited(0);
    let text = ran.stdout_text();
    let mut refused = 0;
    for line in text.lines() {
        let words: Vec<&str> = line.splitn(4, ' ').collect();
        match words.as_slice() {
            [_, "0", "gone", _] => {}
            [_, "125", "left", said] if said.starts_with("safe-rm: ") => refused += 1,
            _ => panic!("{line}\nof:\n{text}"),
        }
    }
    assert!(
        refused > 0
            && text
                .lines()
                .last()
                .is_some_and(|line| line.contains(" 0 gone")),
        "{text}"
    );
}
