//! JSON that may stand inside of a page.

use std::fmt::{self, Write};

/// A string, quoted: for JSON, and for a script element, which ends at the first `</script`. So no
/// `<` is left.
#[derive(Clone, Copy)]
pub(super) struct Quoted<'a>(pub(super) &'a str);

impl fmt::Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('"')?;
        for char in self.0.chars() {
            match char {
                '"' => f.write_str("\\\"")?,
                '\\' => f.write_str("\\\\")?,
                '<' | '\u{0}'..='\u{1f}' | '\u{7f}' | '\u{2028}' | '\u{2029}' => {
                    write!(f, "\\u{:04x}", u32::from(char))?;
                }
                _ => f.write_char(char)?,
            }
        }
        f.write_char('"')
    }
}

/// A list: `[1,2,3]`.
#[derive(Clone, Copy)]
pub(super) struct List<I>(pub(super) I);

impl<I> fmt::Display for List<I>
where
    I: Clone + IntoIterator,
    I::Item: fmt::Display,
{
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_char('[')?;
        for (at, item) in self.0.clone().into_iter().enumerate() {
            let comma = if at == 0 { "" } else { "," };
            write!(f, "{comma}{item}")?;
        }
        f.write_char(']')
    }
}

/// Text of HTML.
pub(super) struct Escaped<'a>(pub(super) &'a str);

impl fmt::Display for Escaped<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for char in self.0.chars() {
            match char {
                '<' => f.write_str("&lt;")?,
                '>' => f.write_str("&gt;")?,
                '&' => f.write_str("&amp;")?,
                '"' => f.write_str("&quot;")?,
                '\'' => f.write_str("&#39;")?,
                _ => f.write_char(char)?,
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_text_leaves_its_quotes_or_its_element() {
        let quoted = Quoted("</script><b>\"\\\n\u{1}\u{2028} é \u{1f980}").to_string();
        let expected = r#""\u003c/script>\u003cb>\"\\\u000a\u0001\u2028 é "#;
        assert_eq!(quoted, format!("{expected}\u{1f980}\""));
        let escaped = Escaped("<a href='x'>\"&").to_string();
        assert_eq!(escaped, "&lt;a href=&#39;x&#39;&gt;&quot;&amp;");
    }

    #[test]
    fn a_list_has_commas_between() {
        assert_eq!(List(&[] as &[u8]).to_string(), "[]");
        assert_eq!(
            List([Quoted("a"), Quoted("b")].iter()).to_string(),
            "[\"a\",\"b\"]"
        );
    }
}
