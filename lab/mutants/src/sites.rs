//! Which changes make mutants: a comparison that includes or excludes its limit, a bound that is off by one,
//! `and` for `or`, a negation or a statement that is left out, two arguments in the wrong order.

use std::ops::Range;

use proc_macro2::Span;
use serde_json::{Value, json};
use syn::punctuated::Punctuated;
use syn::spanned::Spanned;
use syn::visit::{self, Visit};
use syn::{BinOp, Expr, ExprBinary, ExprCall, ExprMethodCall, ExprUnary, ItemMod, Lit, Stmt, Token, UnOp};

/// One change.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Site {
    /// What kind of change it is, in a word or two.
    operator: &'static str,
    /// The bytes that are replaced.
    bytes: Range<usize>,
    line: usize,
    column: usize,
    /// The text that stands there, and what stands there instead; nothing for a statement that is left out.
    old: String,
    new: Option<String>,
}

impl Site {
    pub(crate) fn json(&self, file: &str) -> Value {
        json!({"file": file, "operator": self.operator, "begin": self.bytes.start, "end": self.bytes.end,
            "line": self.line, "column": self.column, "old": self.old, "new": self.new})
    }
}

/// The changes in a file, in the order of their places.
pub(crate) fn of_source(text: &str) -> Result<Vec<Site>, String> {
    let file = syn::parse_file(text).map_err(|error| error.to_string())?;
    let mut finder = Finder { text, sites: Vec::new() };
    finder.visit_file(&file);
    finder.sites.sort_by_key(|site| (site.bytes.start, std::cmp::Reverse(site.bytes.end)));
    Ok(finder.sites)
}

struct Finder<'a> {
    text: &'a str,
    sites: Vec<Site>,
}

impl Finder<'_> {
    fn text_of(&self, node: &impl Spanned) -> &str {
        &self.text[node.span().byte_range()]
    }

    fn add(&mut self, operator: &'static str, whole: Span, new: Option<String>) {
        let (bytes, start) = (whole.byte_range(), whole.start());
        let old = self.text[bytes.clone()].to_owned();
        self.sites.push(Site { operator, bytes, line: start.line, column: start.column + 1, old, new });
    }

    /// The expression with other words between its operands.
    fn with_operator(&self, binary: &ExprBinary, operator: &str) -> String {
        format!("{} {operator} {}", self.text_of(&binary.left), self.text_of(&binary.right))
    }

    fn compare(&mut self, binary: &ExprBinary) {
        let (name, operator) = match binary.op {
            BinOp::Lt(_) => ("limit included", "<="),
            BinOp::Le(_) => ("limit excluded", "<"),
            BinOp::Gt(_) => ("limit included", ">="),
            BinOp::Ge(_) => ("limit excluded", ">"),
            BinOp::Eq(_) => ("comparison turned round", "!="),
            BinOp::Ne(_) => ("comparison turned round", "=="),
            BinOp::And(_) if !has_let(&binary.left) && !has_let(&binary.right) => ("or for and", "||"),
            BinOp::Or(_) => ("and for or", "&&"),
            BinOp::Add(_) | BinOp::Sub(_) if is_one(&binary.right) => {
                let new = self.text_of(&binary.left).to_owned();
                return self.add("off by one", binary.span(), Some(new));
            }
            _ => return,
        };
        let new = self.with_operator(binary, operator);
        self.add(name, binary.span(), Some(new));
    }

    /// The call with each two neighbours among its arguments in the other order.
    fn swap(&mut self, whole: Span, arguments: &Punctuated<Expr, Token![,]>) {
        let places: Vec<&Expr> = arguments.iter().collect();
        for pair in places.windows(2).filter(|pair| pair.iter().all(|argument| is_place(argument))) {
            let (bytes, one, other) =
                (whole.byte_range(), pair[0].span().byte_range(), pair[1].span().byte_range());
            let part = |range: Range<usize>| &self.text[range];
            let new = [
                part(bytes.start..one.start),
                part(other.clone()),
                part(one.end..other.start),
                part(one.clone()),
                part(other.end..bytes.end),
            ]
            .concat();
            if part(one) != part(other) {
                self.add("arguments swapped", whole, Some(new));
            }
        }
    }
}

impl<'ast> Visit<'ast> for Finder<'_> {
    fn visit_expr_binary(&mut self, binary: &'ast ExprBinary) {
        self.compare(binary);
        visit::visit_expr_binary(self, binary);
    }

    fn visit_expr_unary(&mut self, unary: &'ast ExprUnary) {
        if matches!(unary.op, UnOp::Not(_)) {
            let new = self.text_of(&unary.expr).to_owned();
            self.add("negation left out", unary.span(), Some(new));
        }
        visit::visit_expr_unary(self, unary);
    }

    fn visit_expr_method_call(&mut self, call: &'ast ExprMethodCall) {
        let other = match call.method.to_string().as_str() {
            "min" => Some("max"),
            "max" => Some("min"),
            _ => None,
        };
        if let Some(other) = other.filter(|_| call.args.len() == 1) {
            let new = format!("{}.{other}({})", self.text_of(&call.receiver), self.text_of(&call.args));
            self.add("other end", call.span(), Some(new));
        }
        self.swap(call.span(), &call.args);
        visit::visit_expr_method_call(self, call);
    }

    fn visit_expr_call(&mut self, call: &'ast ExprCall) {
        self.swap(call.span(), &call.args);
        visit::visit_expr_call(self, call);
    }

    fn visit_stmt(&mut self, statement: &'ast Stmt) {
        if let Stmt::Expr(expression, Some(_)) = statement
            && can_be_left_out(expression)
        {
            self.add("statement left out", statement.span(), None);
        }
        visit::visit_stmt(self, statement);
    }

    fn visit_item_mod(&mut self, module: &'ast ItemMod) {
        let is_test = module.attrs.iter().any(|attribute| {
            attribute.path().is_ident("cfg")
                && attribute.parse_args::<syn::Ident>().is_ok_and(|name| name == "test")
        });
        if !is_test {
            visit::visit_item_mod(self, module);
        }
    }

    // What is computed by the compiler cannot stand behind a switch.
    fn visit_type(&mut self, _: &'ast syn::Type) {}
    fn visit_item_const(&mut self, _: &'ast syn::ItemConst) {}
    fn visit_item_static(&mut self, _: &'ast syn::ItemStatic) {}
    fn visit_impl_item_const(&mut self, _: &'ast syn::ImplItemConst) {}
    fn visit_pat(&mut self, _: &'ast syn::Pat) {}
    fn visit_attribute(&mut self, _: &'ast syn::Attribute) {}

    fn visit_item_fn(&mut self, function: &'ast syn::ItemFn) {
        if function.sig.constness.is_none() {
            visit::visit_item_fn(self, function);
        }
    }

    fn visit_impl_item_fn(&mut self, function: &'ast syn::ImplItemFn) {
        // What is printed decides nothing.
        if function.sig.constness.is_none() && function.sig.ident != "fmt" {
            visit::visit_impl_item_fn(self, function);
        }
    }
}

fn has_let(expression: &Expr) -> bool {
    match expression {
        Expr::Let(_) => true,
        Expr::Binary(binary) => has_let(&binary.left) || has_let(&binary.right),
        _ => false,
    }
}

fn is_one(expression: &Expr) -> bool {
    matches!(expression, Expr::Lit(literal) if matches!(&literal.lit, Lit::Int(number) if number.base10_digits() == "1"))
}

/// A variable or a field, perhaps borrowed.
fn is_place(expression: &Expr) -> bool {
    match expression {
        Expr::Path(_) | Expr::Field(_) => true,
        Expr::Reference(reference) => is_place(&reference.expr),
        _ => false,
    }
}

/// A call or an assignment; not the first assignment of a variable, which the compiler would miss.
fn can_be_left_out(expression: &Expr) -> bool {
    match expression {
        Expr::Call(_) | Expr::MethodCall(_) => true,
        Expr::Assign(assignment) => !matches!(*assignment.left, Expr::Path(_)),
        Expr::Binary(binary) => matches!(
            binary.op,
            BinOp::AddAssign(_) | BinOp::SubAssign(_) | BinOp::BitOrAssign(_) | BinOp::BitAndAssign(_)
        ),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn changes(text: &str) -> Vec<(String, Option<String>)> {
        let sites = of_source(text).expect("it is Rust");
        sites.into_iter().map(|site| (site.old, site.new)).collect()
    }

    fn is(old: &str, new: Option<&str>) -> (String, Option<String>) {
        (old.to_owned(), new.map(str::to_owned))
    }

    #[test]
    fn each_kind_of_change_is_found() {
        let text = "fn f(a: u64, b: u64) { if a < b && !g(a, b) { self.x = a.min(b + 1); h(); } }";
        let expected = [
            is("a < b && !g(a, b)", Some("a < b || !g(a, b)")),
            is("a < b", Some("a <= b")),
            is("!g(a, b)", Some("g(a, b)")),
            is("g(a, b)", Some("g(b, a)")),
            is("self.x = a.min(b + 1);", None),
            is("a.min(b + 1)", Some("a.max(b + 1)")),
            is("b + 1", Some("b")),
            is("h();", None),
        ];
        assert_eq!(changes(text), expected);
    }

    #[test]
    fn constants_tests_patterns_and_what_is_printed_are_left_alone() {
        let text = "const A: u64 = 2 + 1; const fn f(a: u64) -> bool { a < 1 }\n\
            #[cfg(test)] mod tests { fn g() { h(); } }\n\
            impl fmt::Debug for X { fn fmt(&self) { h(); } }\n\
            fn i(a: u64) { let x; x = a; debug!(\"{}\", a < 1); }";
        assert_eq!(changes(text), []);
    }

    #[test]
    fn a_place_is_told_by_line_and_column() {
        let sites = of_source("fn f() {\n    g();\n}\n").expect("it is Rust");
        assert_eq!((sites[0].line, sites[0].column), (2, 5));
    }
}
