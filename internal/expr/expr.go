// Package expr compiles what people write about files: filters and name templates.
//
// A [Filter] is one expression that is true or false of a file; a [Template] is a
// text with holes, "archive/${now.Format('2006/01')}/${file.name}". Both are
// type-checked against [Env] when the document is read, and a fault in them is an
// [*Error] that knows its line and column. The language is expr-lang's, less
// everything that could make an evaluation large or long: see the allow-list in
// this package. Spellings that SAP and Camel users know, "${file:name.noext}" or
// "${date:now:yyyyMMdd}", are translated.
//
// Evaluating has no side effect and reads no clock: what now is, the caller says.
// The package knows nothing of flows or documents.
package expr

import (
	"errors"
	"fmt"
	"reflect"
	"time"

	"github.com/expr-lang/expr"
	"github.com/expr-lang/expr/ast"
	"github.com/expr-lang/expr/file"
	"github.com/expr-lang/expr/vm"

	"sallyport.dev/internal/fault"
)

const (
	// MaxText bounds a filter or template as written, in bytes.
	MaxText = 4096
	// MaxResult bounds what a template gives, in bytes.
	MaxResult = 4096

	maxNodes     = 1000
	memoryBudget = 100_000 // expr-lang's own unit: roughly elements of lists
)

// Error is a fault in a filter or template, at a position in its text.
type Error struct {
	Line   int    // from 1
	Column int    // from 1, in characters
	Text   string // what is wrong
	Hint   string // what would have been right; may be empty
}

// Error returns "line:column: text".
func (e *Error) Error() string { return fmt.Sprintf("%d:%d: %s", e.Line, e.Column, e.Text) }

// Unwrap gives the same fault as [fault.Invalid] with its hint.
func (e *Error) Unwrap() error {
	f := fault.New(fault.Invalid, "%s", e.Text)
	f.Hint = e.Hint
	return f
}

// program is one compiled expression.
type program struct {
	p    *vm.Program
	kind reflect.Kind
}

// compile checks text and compiles it. Positions in errors count from base.
func compile(text string, base position) (program, error) {
	if text == "" || isSpace(text) {
		return program{}, base.fault("", 0, "the expression is empty", "write one, such as file.name")
	}
	var guard guard
	opts := []expr.Option{
		expr.Env(Env{}),
		expr.DisableAllBuiltins(),
		expr.MaxNodes(maxNodes),
		expr.Patch(&guard),
		expr.Function("noext", noext, new(func(string) string)),
		expr.Function("fullext", fullext, new(func(string) string)),
	}
	for _, name := range builtins {
		opts = append(opts, expr.EnableBuiltin(name))
	}
	p, err := expr.Compile(text, opts...)
	if guard.text != "" {
		return program{}, base.fault(text, guard.at, guard.text, guard.hint)
	}
	if err != nil {
		if fe := (*file.Error)(nil); errors.As(err, &fe) {
			return program{}, base.fault(text, fe.From, fe.Message, hintFor(fe.Message))
		}
		return program{}, base.fault(text, 0, err.Error(), "")
	}
	out := program{p: p}
	if t := p.Node().Type(); t != nil {
		out.kind = t.Kind()
		if t == reflect.TypeFor[time.Time]() {
			out.kind = reflect.Invalid
		}
	}
	return out, nil
}

// run evaluates the program. A panic of the machine comes back as an error.
func (p program) run(env Env) (any, error) {
	machine := vm.VM{MemoryBudget: memoryBudget}
	v, err := machine.Run(p.p, env)
	if err != nil {
		if fe := (*file.Error)(nil); errors.As(err, &fe) {
			return nil, errors.New(fe.Message)
		}
		return nil, err
	}
	return v, nil
}

// Filter is a compiled condition on a file. It may be used by many goroutines.
type Filter struct {
	text string
	p    program
}

// ParseFilter compiles a condition such as "file.size > 0 && file.ext == 'xml'".
// The error is an [*Error].
func ParseFilter(text string) (*Filter, error) {
	if len(text) > MaxText {
		return nil, tooLong(len(text))
	}
	p, err := compile(text, position{line: 1, column: 1})
	if err != nil {
		return nil, err
	}
	if p.kind != reflect.Bool {
		return nil, position{1, 1}.fault("", 0, "a filter must be true or false, and this is "+kindName(p),
			"compare it with something, such as file.ext == 'xml'")
	}
	return &Filter{text: text, p: p}, nil
}

// String returns the condition as it was written.
func (f *Filter) String() string { return f.text }

// Match reports whether the condition holds in env.
func (f *Filter) Match(env Env) (bool, error) {
	v, err := f.p.run(env)
	if err != nil {
		return false, fault.Wrap(fault.Invalid, err, "evaluate filter %q", f.text)
	}
	ok, isBool := v.(bool)
	if !isBool {
		return false, fault.New(fault.Invalid, "evaluate filter %q: got %T", f.text, v)
	}
	return ok, nil
}

func kindName(p program) string {
	if t := p.p.Node().Type(); t != nil {
		return "of type " + t.String()
	}
	return "nil"
}

func tooLong(n int) error {
	return &Error{Line: 1, Column: 1, Text: fmt.Sprintf("text of %d bytes is too long", n),
		Hint: fmt.Sprintf("at most %d bytes are read", MaxText)}
}

var _ ast.Visitor = (*guard)(nil)
