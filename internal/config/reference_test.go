package config

import (
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"

	"sallyport.dev/internal/testkit"
)

// TestReference holds docs/reference/document.md to the structs: `make docs` writes
// the page anew.
func TestReference(t *testing.T) {
	example, err := os.ReadFile("testdata/example.yaml")
	if err != nil {
		t.Fatal(err)
	}
	var b strings.Builder
	b.WriteString(referenceHead)
	b.WriteString("```yaml\n" + string(example) + "```\n")
	c := whole()
	c.defaults()
	describe(&b, "", "The document", reflect.ValueOf(c))
	testkit.Golden(t, filepath.Join(testkit.ModuleRoot(t), "docs", "reference", "document.md"), []byte(b.String()))
}

const referenceHead = `# The document

One document, ` + "`sallyport.yaml`" + `, says which parts a process plays. ` + "`sallyport config check`" + ` prints every fault in it
at once as file:line:column, and ` + "`sallyport config show --effective`" + ` prints it with its defaults. This page is drawn from
the program; ` + "`make docs`" + ` writes it.

- Unknown keys are faults. There is one spelling for each thing, and no anchors, aliases or tags.
- Secrets are references: ` + "`env:NAME` or `file:PATH`" + `. A literal password is a fault.
- Durations have units: ` + "`500ms`, `30s`, `5m`, `1h30m`" + `. Folders are absolute or begin with ` + "`./`" + `, which is the folder
  that the process was started in.
- What is marked *later* is read and checked; ` + "`sallyport run`" + ` refuses to start a part that asks for it, and names the key.

## An example

`

// whole returns a document in which every part stands once, empty.
func whole() Config {
	return Config{
		Accounts: []Account{{}},
		Sites: []Site{{
			Listen: Address{"127.0.0.1", 2121}, Bindings: []Binding{{}}, TLS: &SiteTLS{Clients: &SiteClients{}},
			Passive: Passive{External: External{{}}}, Homes: &Homes{}, Log: &SiteLog{}, Authorization: []Rule{{}},
		}},
		Gateway:   &Gateway{SOCKS: &SOCKS{}},
		Connector: &Connector{Mappings: []Mapping{{}}},
		Flows:     []Flow{{Source: Source{FTP: &FTPServer{}, Local: &LocalFolder{}}, Sinks: []Sink{{FTP: &FTPSink{}, Local: &LocalSink{}}}}},
	}
}

// describe writes a table of the keys of v, a struct at path, and then of the
// structs in it.
func describe(b *strings.Builder, path, title string, v reflect.Value) {
	fmt.Fprintf(b, "\n## %s\n\n| key | value | default | meaning |\n|---|---|---|---|\n", title)
	type inner struct {
		path, title string
		v           reflect.Value
	}
	var below []inner
	for _, f := range fieldsOf(v.Type()) {
		fv, key := v.FieldByIndex(f.index), join(path, f.key)
		form := formOf(fv.Type())
		at, title, sv := key, key, fv
		if sv.Kind() == reflect.Slice && sv.Len() > 0 {
			at, title, sv = key+"[]", key+"[]", sv.Index(0)
		}
		if sv.Kind() == reflect.Pointer {
			sv = sv.Elem()
		}
		if isSection(sv) {
			below = append(below, inner{at, "`" + title + "`", sv})
			if fv.Type() != reflect.TypeFor[External]() {
				form = "[below](#" + strings.NewReplacer(".", "", "[]", "").Replace(at) + ")"
			}
		}
		standard := ""
		if d, ok := plain(fv); ok && !isSection(sv) && fv.Kind() != reflect.Slice {
			standard = fmt.Sprintf("`%v`", d)
		}
		if f.need {
			standard = "*required*"
		}
		fmt.Fprintf(b, "| `%s` | %s | %s | %s%s |\n", f.key, form, standard, escape(f.help), later(at))
	}
	for _, in := range below {
		describe(b, in.path, in.title, in.v)
	}
}

// isSection reports whether v is a struct with keys of its own.
func isSection(v reflect.Value) bool {
	return v.Kind() == reflect.Struct && len(fieldsOf(v.Type())) > 0
}

func escape(s string) string { return strings.ReplaceAll(s, "|", `\|`) }

// formOf says in a word or two what may be written.
func formOf(t reflect.Type) string {
	s := schemaOf(t)
	switch {
	case s.Enum != nil:
		return "`" + strings.Join(s.Enum, "` `") + "`"
	case t == reflect.TypeFor[Lines]():
		return "text, list of texts"
	case t == reflect.TypeFor[External]():
		return "address, name, [list of rules](#sitespassiveexternal_ip)"
	case t == reflect.TypeFor[Network]():
		return "`ADDRESS/BITS` or address"
	case t.Kind() == reflect.Slice:
		return "list of " + strings.TrimPrefix(formOf(t.Elem()), "a ")
	case t == reflect.TypeFor[After]():
		return "`keep` `delete` `{move: NAME}`"
	case t == reflect.TypeFor[Journal]():
		return "`embedded` `{min_free: MIB}` `{urls: [...], replicas: N}`"
	case t == reflect.TypeFor[Password]():
		return "reference, `{hash: ...}`"
	case t == reflect.TypeFor[Certificate]():
		return "reference, `auto`"
	}
	for _, f := range []struct {
		t    reflect.Type
		form string
	}{
		{reflect.TypeFor[Address](), "`HOST:PORT`"}, {reflect.TypeFor[Endpoint](), "`HOST:PORT` `HOST:LOW-HIGH`"},
		{reflect.TypeFor[PortRange](), "`LOW-HIGH`"}, {reflect.TypeFor[Bits](), "octal digits"},
	} {
		if t == f.t {
			return f.form
		}
	}
	switch {
	case s.Pattern == refPattern:
		return "reference"
	case strings.Contains(s.Pattern, "ms|s|m|h"):
		return "duration"
	case s.Type == "boolean":
		return "`true` `false`"
	case s.Type == "integer":
		return "number"
	default:
		return "text"
	}
}

// later marks what this version reads and does not serve.
func later(key string) string {
	if key == "journal" {
		return " (*later*: a cluster)" // the keys of its mapping have no table
	}
	for _, row := range unserved {
		switch {
		case row.Key != key && row.Key != strings.TrimSuffix(key, "[]"):
		case row.Only == nil:
			return " (*later*)"
		default:
			return " (*later*: `" + strings.Join(row.Only, "`, `") + "`)"
		}
	}
	return ""
}

// Every key has its line of help: schema, page and faults speak with it.
func TestEveryKeyHasHelp(t *testing.T) {
	var missing []string
	var walk func(t reflect.Type, path string)
	walk = func(t reflect.Type, path string) {
		switch t.Kind() {
		case reflect.Pointer, reflect.Slice:
			walk(t.Elem(), path)
		case reflect.Struct:
			for _, f := range fieldsOf(t) {
				if f.help == "" {
					missing = append(missing, join(path, f.key))
				}
				walk(t.FieldByIndex(f.index).Type, join(path, f.key))
			}
		}
	}
	walk(reflect.TypeFor[Config](), "")
	if slices.Sort(missing); len(missing) > 0 {
		t.Errorf("keys without help: %v", missing)
	}
}
