package config

import (
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
)

// entries is a mapping that keeps the order of its keys.
type entries []entry

type entry struct {
	key   string
	value any // string, bool, int, uint16, []any or entries
}

// emitYAML writes m as a block of YAML, each line after indent.
func emitYAML(b *strings.Builder, m entries, indent string) {
	for i, e := range m {
		if i > 0 || b.Len() == 0 {
			b.WriteString(indent)
		}
		b.WriteString(e.key + ":")
		emitValue(b, e.value, indent)
	}
}

func emitValue(b *strings.Builder, v any, indent string) {
	switch v := v.(type) {
	case entries:
		if len(v) == 0 {
			b.WriteString(" {}\n")
			return
		}
		b.WriteString("\n" + indent + "  ")
		emitYAML(b, v, indent+"  ")
	case []any:
		b.WriteByte('\n')
		for _, e := range v {
			b.WriteString(indent + "  -")
			if m, ok := e.(entries); ok && len(m) > 0 {
				b.WriteByte(' ')
				emitYAML(b, m, indent+"    ")
				continue
			}
			emitValue(b, e, indent+"  ")
		}
	case string:
		b.WriteString(" " + quoteYAML(v) + "\n")
	default:
		fmt.Fprintf(b, " %v\n", v)
	}
}

// plainYAML is text that every reader of YAML takes for that text: it begins like a
// word or a path, and nothing in it ends it; or a duration.
var plainYAML = regexp.MustCompile(`^([A-Za-z./][A-Za-z0-9_./:@+=,-]*|([0-9]+(h|m|s|ms))+)$`)

// words are texts that some reader of YAML takes for something else.
var words = regexp.MustCompile(`(?i)^(y|yes|n|no|true|false|on|off|null|\.inf|\.nan|\.[0-9e]+.*)$`)

func quoteYAML(s string) string {
	if plainYAML.MatchString(s) && !words.MatchString(s) && !strings.HasSuffix(s, ":") {
		return s
	}
	return quoteJSON(s)
}

// quoteJSON quotes s as JSON does, which is a way to quote in YAML too.
func quoteJSON(s string) string {
	var b strings.Builder
	enc := json.NewEncoder(&b)
	enc.SetEscapeHTML(false)
	if err := enc.Encode(s); err != nil {
		panic("config: a string has no JSON: " + err.Error())
	}
	return strings.TrimSuffix(b.String(), "\n")
}

// emitJSON writes v as JSON on one line.
func emitJSON(b *strings.Builder, v any) {
	switch v := v.(type) {
	case entries:
		b.WriteByte('{')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			b.WriteString(quoteJSON(e.key) + ":")
			emitJSON(b, e.value)
		}
		b.WriteByte('}')
	case []any:
		b.WriteByte('[')
		for i, e := range v {
			if i > 0 {
				b.WriteByte(',')
			}
			emitJSON(b, e)
		}
		b.WriteByte(']')
	case string:
		b.WriteString(quoteJSON(v))
	default:
		fmt.Fprint(b, v)
	}
}
