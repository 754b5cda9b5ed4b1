use time::format_description::well_known::Rfc3339;
use time::macros::format_description;
use time::{Date, OffsetDateTime};

use super::duration;

/// Returns milliseconds since 1970 as RFC 3339 in UTC, with milliseconds.
pub(crate) fn rfc3339(milliseconds: i64) -> String {
    let format =
        format_description!("[year]-[month]-[day]T[hour]:[minute]:[second].[subsecond digits:3]Z");
    OffsetDateTime::from_unix_timestamp_nanos(i128::from(milliseconds) * 1_000_000)
        .ok()
        .and_then(|instant| instant.format(format).ok())
        .unwrap_or_else(|| format!("{milliseconds} ms since 1970"))
}

/// Returns the milliseconds since 1970 of an RFC 3339 text with any offset.
pub(crate) fn parse_rfc3339(text: &str) -> Option<i64> {
    let instant = OffsetDateTime::parse(text, &Rfc3339).ok()?;
    i64::try_from(instant.unix_timestamp_nanos() / 1_000_000).ok()
}

/// Returns the day in UTC of milliseconds since 1970; nothing where no calendar has it.
pub(crate) fn day(milliseconds: i64) -> Option<Date> {
    let nanoseconds = i128::from(milliseconds) * 1_000_000;
    let instant = OffsetDateTime::from_unix_timestamp_nanos(nanoseconds).ok()?;
    Some(instant.date())
}

/// Returns a day like `2026-11-20`.
pub(crate) fn calendar(day: Date) -> String {
    let (year, month, day) = day.to_calendar_date();
    format!("{year:04}-{:02}-{day:02}", u8::from(month))
}

/// Returns the day that a text like `2026-11-20` names.
pub(crate) fn parse_calendar(text: &str) -> Option<Date> {
    Date::parse(text, format_description!("[year]-[month]-[day]")).ok()
}

/// Returns how an instant stands to now: `5m ago`, `in 2h`, `now`.
pub(crate) fn relative(milliseconds: i64, now: i64) -> String {
    match now.saturating_sub(milliseconds) {
        past if past >= 1000 => format!("{} ago", duration::short(past)),
        ahead if ahead <= -1000 => format!("in {}", duration::short(-ahead)),
        _ => "now".to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_instant_reads_back() {
        let text = rfc3339(1_793_491_200_123);
        assert_eq!(text, "2026-11-01T00:00:00.123Z");
        assert_eq!(parse_rfc3339(&text), Some(1_793_491_200_123));
        assert_eq!(
            parse_rfc3339("2026-11-01T02:00:00+02:00"),
            Some(1_793_491_200_000)
        );
        assert_eq!(parse_rfc3339("yesterday"), None);
    }

    #[test]
    fn an_instant_no_calendar_holds_is_still_shown() {
        assert_eq!(rfc3339(i64::MAX), format!("{} ms since 1970", i64::MAX));
    }

    #[test]
    fn people_read_distances() {
        assert_eq!(relative(0, 65_000), "1m 5s ago");
        assert_eq!(relative(65_000, 0), "in 1m 5s");
        assert_eq!(relative(500, 0), "now");
    }
}
