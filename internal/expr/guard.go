package expr

import (
	"strings"
	"unicode/utf8"

	"github.com/expr-lang/expr/ast"
)

// builtins are the functions an expression may call: none can make a text or a
// list that is larger than what it was given, none reads a clock, and those that
// take a condition are not nested (see [guard]). So an evaluation is bounded by
// the length of what was written and of the names it looks at.
var builtins = []string{
	"all", "none", "any", "one", "count",
	"len", "abs", "ceil", "floor", "round", "int", "float", "string", "max", "min",
	"trim", "trimPrefix", "trimSuffix", "upper", "lower", "split",
	"indexOf", "lastIndexOf", "hasPrefix", "hasSuffix",
	"first", "last", "duration", "date",
}

// guard refuses, while the tree is walked, what could run long. It keeps the
// first fault.
type guard struct {
	text, hint string
	at         int
}

// Visit sees each node after its children.
func (g *guard) Visit(node *ast.Node) {
	switch n := (*node).(type) {
	case *ast.VariableDeclaratorNode:
		g.refuse(n, "let is not available here", "write the value where it is used")
	case *ast.SequenceNode:
		g.refuse(n, "only one expression fits here", "join conditions with && or ||")
	case *ast.BinaryNode:
		if n.Operator == ".." {
			g.refuse(n, "ranges are not available here", "write the values: [1, 2, 3]")
		}
	case *ast.BuiltinNode:
		if !allowed(n.Name) {
			g.refuse(n, n.Name+" is not available here", "these are: "+strings.Join(builtins, ", "))
		}
		for _, arg := range n.Arguments {
			if _, ok := arg.(*ast.PredicateNode); ok && within(arg, isPredicate) > 1 {
				g.refuse(n, "conditions over lists cannot be nested", "use one all, any, none, one or count at a time")
			}
		}
	}
}

func (g *guard) refuse(n ast.Node, text, hint string) {
	if g.text == "" {
		g.text, g.hint, g.at = text, hint, n.Location().From
	}
}

func allowed(name string) bool {
	for _, b := range builtins {
		if b == name {
			return true
		}
	}
	return false
}

func isPredicate(n ast.Node) bool { _, ok := n.(*ast.PredicateNode); return ok }

// counter counts the nodes that match.
type counter struct {
	match func(ast.Node) bool
	n     int
}

func (c *counter) Visit(node *ast.Node) {
	if c.match(*node) {
		c.n++
	}
}

func within(n ast.Node, match func(ast.Node) bool) int {
	c := counter{match: match}
	ast.Walk(&n, &c)
	return c.n
}

// position is where a text begins in what the person wrote.
type position struct{ line, column int }

// fault makes an error at the character offset at of text.
func (p position) fault(text string, at int, problem, hint string) *Error {
	return &Error{Line: p.after(text, at).line, Column: p.after(text, at).column, Text: problem, Hint: hint}
}

// after returns the position behind the first n characters of text.
func (p position) after(text string, n int) position {
	for _, r := range text {
		if n == 0 {
			break
		}
		n--
		if r == '\n' {
			p.line++
			p.column = 1
		} else {
			p.column++
		}
	}
	return p
}

// hintFor says what the checker's messages leave unsaid.
func hintFor(message string) string {
	switch {
	case strings.Contains(message, "unknown name"):
		return "known here are file, now and flow, and the functions " + strings.Join(builtins, ", ")
	case strings.Contains(message, "has no field"):
		return "a file has name, stem, ext, path, dir, size and time"
	case strings.Contains(message, "has no method"):
		return "times have Format('2006-01-02'), Year(), Month(), Day(), UTC() and the like"
	default:
		return ""
	}
}

func isSpace(s string) bool { return strings.TrimSpace(s) == "" }

func runes(s string) int { return utf8.RuneCountInString(s) }
