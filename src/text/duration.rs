/// Why a text is not a duration.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub(crate) enum InvalidDuration {
    #[error("'{0}' is not a duration; write it like 90s, 30m or 1h 30m")]
    Unreadable(String),
    #[error("'{0}' says months; m is a minute, and a month is too long")]
    Months(String),
    #[error("'{0}' is not a whole number of seconds")]
    Fraction(String),
}

/// Returns the seconds in a text like `90s`, `30m` or `1h 30m`.
pub(crate) fn parse(text: &str) -> Result<u64, InvalidDuration> {
    if text.contains('M') {
        return Err(InvalidDuration::Months(text.to_owned()));
    }
    let duration = humantime::parse_duration(text.trim())
        .map_err(|_| InvalidDuration::Unreadable(text.to_owned()))?;
    if duration.subsec_nanos() != 0 {
        return Err(InvalidDuration::Fraction(text.to_owned()));
    }
    Ok(duration.as_secs())
}

/// Returns milliseconds as the two largest units that are not zero: `1h 5m`, `4s`, `0s`.
pub(crate) fn short(milliseconds: i64) -> String {
    let seconds = milliseconds.max(0) / 1000;
    let parts = [
        (seconds / 86_400, "d"),
        (seconds / 3600 % 24, "h"),
        (seconds / 60 % 60, "m"),
        (seconds % 60, "s"),
    ];
    let shown: Vec<String> = parts
        .into_iter()
        .skip_while(|(count, _)| *count == 0)
        .take(2)
        .filter(|(count, _)| *count > 0)
        .map(|(count, unit)| format!("{count}{unit}"))
        .collect();
    if shown.is_empty() {
        "0s".to_owned()
    } else {
        shown.join(" ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn time_08_odd_spellings_are_errors() {
        for text in [
            "",
            "10",
            "-1m",
            "1e9s",
            "\u{663}s",
            "0x10s",
            "99999999999999999999y",
            "m",
            "1.5s",
        ] {
            assert!(parse(text).is_err(), "{text:?}");
        }
        assert_eq!(parse("1M"), Err(InvalidDuration::Months("1M".to_owned())));
        assert_eq!(
            parse("500ms"),
            Err(InvalidDuration::Fraction("500ms".to_owned()))
        );
    }

    #[test]
    fn the_usual_spellings_are_read() {
        for (text, seconds) in [
            ("10m", 600),
            ("1h 30m", 5400),
            ("45s", 45),
            ("8h", 28_800),
            ("0s", 0),
        ] {
            assert_eq!(parse(text), Ok(seconds), "{text}");
        }
    }

    #[test]
    fn a_span_is_shown_in_two_units() {
        for (milliseconds, text) in [
            (-5, "0s"),
            (999, "0s"),
            (61_000, "1m 1s"),
            (3_600_000, "1h"),
            (90_061_000, "1d 1h"),
        ] {
            assert_eq!(short(milliseconds), text);
        }
    }
}
