//! Values that are made of appends, `x CLIENT NUMBER y` each: is every one there, once, and in its client's
//! order?

/// The `number`th text that client `client` appends.
pub fn element(client: usize, number: usize) -> String {
    format!("x {client} {number} y")
}

/// Whether `value` consists of the appends of clients, each with as many as `counts` says for it (a client,
/// and how many), in any interleaving.
///
/// # Errors
/// What is missing, there twice, out of order, or was never appended.
pub fn check_appends(value: &str, counts: &[(usize, usize)]) -> Result<(), String> {
    let mut next = vec![0; counts.len()];
    let mut rest = value;
    while !rest.is_empty() {
        let offset = value.len() - rest.len();
        let Some((client, number, behind)) = split(rest) else {
            return Err(format!("{} at offset {offset} is no append of any client", shortened(rest)));
        };
        let Some(place) = counts.iter().position(|&(other, count)| other == client && number < count) else {
            return Err(format!("{:?} at offset {offset} was never appended", element(client, number)));
        };
        if number != next[place] {
            return Err(misplaced(value, client, number, next[place]));
        }
        next[place] += 1;
        rest = behind;
    }
    match counts.iter().zip(next).find(|((_, count), next)| next < count) {
        Some(((client, _), next)) => Err(missing(value, *client, next)),
        None => Ok(()),
    }
}

/// The first element of a value, as client and number, and what comes behind it.
fn split(value: &str) -> Option<(usize, usize, &str)> {
    let (client, rest) = value.strip_prefix("x ")?.split_once(' ')?;
    let (number, rest) = rest.split_once(" y")?;
    Some((client.parse().ok()?, number.parse().ok()?, rest))
}

/// Client `client`'s element `number` stands where `expected` should.
fn misplaced(value: &str, client: usize, number: usize, expected: usize) -> String {
    let found = element(client, number);
    if number < expected {
        return format!("append {found:?} is there twice in {}", shortened(value));
    }
    let other = element(client, expected);
    match value.contains(&other) {
        true => format!("append {found:?} comes before {other:?} in {}", shortened(value)),
        false => missing(value, client, expected),
    }
}

fn missing(value: &str, client: usize, number: usize) -> String {
    format!("append {:?} is missing in {}", element(client, number), shortened(value))
}

/// A value, with its middle left out if it is long.
pub(super) fn shortened(value: &str) -> String {
    /// Characters that are shown of either side.
    const SIDE: usize = 60;
    let cut = |at: &mut dyn Iterator<Item = (usize, char)>| at.nth(SIDE).map(|(index, _)| index);
    match (cut(&mut value.char_indices()), cut(&mut value.char_indices().rev())) {
        (Some(first), Some(last)) if first < last => {
            format!("{:?}…{:?} ({} bytes)", &value[..first], &value[last..], value.len())
        }
        _ => format!("{value:?}"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn value(elements: &[(usize, usize)]) -> String {
        elements.iter().map(|&(client, number)| element(client, number)).collect()
    }

    #[test]
    fn any_interleaving_of_all_appends_is_right() {
        assert_eq!(check_appends("", &[(0, 0)]), Ok(()));
        assert_eq!(check_appends(&value(&[(1, 0), (0, 0), (0, 1), (1, 1)]), &[(0, 2), (1, 2)]), Ok(()));
    }

    #[test]
    fn what_is_wrong_is_named() {
        for (elements, complaint) in [
            (&[(0, 0), (0, 2)][..], "\"x 0 1 y\" is missing"),
            (&[(0, 0), (0, 1)], "\"x 0 2 y\" is missing"),
            (&[(0, 0), (0, 1), (0, 1), (0, 2)], "\"x 0 1 y\" is there twice"),
            (&[(0, 0), (0, 2), (0, 1)], "\"x 0 2 y\" comes before \"x 0 1 y\""),
            (&[(0, 0), (0, 1), (0, 2), (0, 3)], "\"x 0 3 y\" at offset 21 was never appended"),
            (&[(0, 0), (7, 0)], "\"x 7 0 y\" at offset 7 was never appended"),
        ] {
            let error = check_appends(&value(elements), &[(0, 3)]).unwrap_err();
            assert!(error.contains(complaint), "{error}");
        }
        let error = check_appends("x 0 0 yrubbish", &[(0, 1)]).unwrap_err();
        assert_eq!(error, "\"rubbish\" at offset 7 is no append of any client");
    }

    #[test]
    fn long_values_are_shortened() {
        let long = "ä".repeat(1000);
        let text = shortened(&long);
        assert!(text.len() < 300 && text.contains("…") && text.ends_with("(2000 bytes)"), "{text}");
        assert_eq!(shortened("short"), "\"short\"");
    }
}
