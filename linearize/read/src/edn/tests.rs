//! What EDN says, and what is none.

use super::*;

fn form(text: &str) -> Result<Form<'_>, Problem> {
    Reader::new(text).form()
}

fn word(text: &str) -> Form<'_> {
    Form::Word(Cow::Borrowed(text))
}

#[test]
fn scalars() {
    let cases = [
        ("nil", Form::Nil),
        (" ,\t+5", Form::Number(5)),
        ("-7N", Form::Number(-7)),
        ("99999999999999999999N", word("99999999999999999999")),
        ("1/2", word("1/2")),
        ("1.50", word("1.5")),
        ("1e3", word("1000.0")),
        ("2.5M", word("2.5M")),
        ("true", word("true")),
        ("##Inf", word("##Inf")),
        ("\\}", word("\\}")),
        ("\\newline", word("\\newline")),
        ("#inst \"2020\"", word("#inst \"2020\"")),
        (":a/b", Form::Keyword("a/b")),
        ("a-symbol?", word("a-symbol?")),
        (r#""a\u0062\ud83d\ude00\n\"""#, Form::Text(Cow::Borrowed("ab😀\n\""))),
        ("; no\n #_ [1 #_ 2 3] #_ #_ a b 4", Form::Number(4)),
        ("#_#_ a b #_:c #_#_#_1 2[3]^:d ^{:e 1} ^f 4", Form::Number(4)),
        ("#\"a\\d\"", word("#\"a\\d\"")),
        ("#'a/b", word("#'a/b")),
        ("#inst  \"2020\"", word("#inst \"2020\"")),
        ("1.50M", word("1.5M")),
    ];
    for (text, wanted) in cases {
        assert_eq!(form(text), Ok(wanted), "{text}");
    }
}

#[test]
fn collections() {
    let numbers = || vec![Form::Number(1), Form::Number(2)];
    for text in ["[1 2]", "(1, 2)", "#tuple [1 2]", "[1;]\n2]", "[#_ 0 1 2 #_3]"] {
        assert_eq!(form(text), Ok(Form::Row(numbers())), "{text}");
    }
    assert_eq!(form("#{1 2}"), Ok(Form::Set(numbers())));
    assert_eq!(form("{1 2}"), Ok(Form::Map(vec![(Form::Number(1), Form::Number(2))])));
}

#[test]
fn the_namespace_of_a_map_is_part_of_its_keys() {
    let said = |text| crate::calls::Datum::of(&form(text).expect(text));
    let plain = "{:a/b {:c 1}, :d/e 2, :f 3, a/g 4, true 5, \"b\" 6}";
    assert_eq!(said("#:a{:b {:c 1} :d/e 2 :_/f 3 g 4 true 5 \"b\" 6}"), said(plain));
    assert_ne!(said("#:a{:b 1}"), said("{:b 1}"));
    assert_ne!(said("#:a{:b 1}"), said("#:b{:b 1}"));
    assert_eq!(said("#a{:b 1}"), said("{:b 1}"));
}

#[test]
fn an_event_has_no_namespace() {
    assert!(Reader::new("#jepsen.history.Op{:type :ok}").begin_map().is_ok());
    let problem = Reader::new("#:jepsen{:type :ok}").begin_map();
    assert!(format!("{problem:?}").contains("namespace"), "{problem:?}");
}

#[test]
fn what_is_no_form_is_refused() {
    let wrong =
        ["", "[1", "(1]", "{1}", "\"", "\"\\", "\"\\x\"", "\"\\ud83d\"", "\"\\u00\"", "1x", "1/", "]", "#"];
    for text in wrong {
        assert!(form(text).is_err(), "{text}: {:?}", form(text));
    }
    assert!(form(&"[".repeat(100_000)).is_err() && form(&"#a ".repeat(100_000)).is_err());
}

#[test]
fn a_form_ends_where_it_ends() {
    let texts = [
        "#_#_ a b ^:c ^{:d 1} {:e #'f/g}",
        "{:a [1 \"}\\\"\" \\}] ; }\n #{2}}",
        "#tag #_ x {:b 1}",
        "\"a\"",
        "(1 #_(2) 3)",
        "#_",
    ];
    for text in texts {
        for cut in 0..text.len() {
            // Of a part of it, nothing is said too soon.
            if let Ok(End::At(end)) = end_of_form(&text.as_bytes()[..cut], false) {
                panic!("{text}: ends at {end} of {cut}");
            }
        }
    }
    let end = |text: &str| match end_of_form(text.as_bytes(), true) {
        Ok(End::At(end)) => end,
        _ => panic!("{text}"),
    };
    assert_eq!(end("{:a #{1}} {:b 2}"), 9);
    assert_eq!(end("#a{:b 1}[2]"), 8);
    assert_eq!(end("#a #b [1] 2"), 9);
}
