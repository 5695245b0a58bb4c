package config

import (
	"encoding"
	"encoding/json"
	"net/netip"
	"reflect"
	"time"

	"sallyport.dev/internal/secret"
)

// schema is the part of JSON Schema (draft 2020-12) that the document needs.
type schema struct {
	Schema      string             `json:"$schema,omitempty"`
	Title       string             `json:"title,omitempty"`
	Description string             `json:"description,omitempty"`
	Type        string             `json:"type,omitempty"`
	Enum        []string           `json:"enum,omitempty"`
	Pattern     string             `json:"pattern,omitempty"`
	MinLength   int                `json:"minLength,omitempty"`
	Minimum     *int64             `json:"minimum,omitempty"`
	Maximum     *int64             `json:"maximum,omitempty"`
	OneOf       []*schema          `json:"oneOf,omitempty"`
	Items       *schema            `json:"items,omitempty"`
	MinItems    int                `json:"minItems,omitempty"`
	Properties  map[string]*schema `json:"properties,omitempty"`
	Required    []string           `json:"required,omitempty"`
	Closed      *bool              `json:"additionalProperties,omitempty"` // false: no other keys
}

// Schema returns the JSON Schema of a document, for editors that complete keys and
// mark mistakes. It is drawn from the same structs that the document is read into;
// what ties values together only [Parse] knows.
func Schema() ([]byte, error) {
	s := schemaOf(reflect.TypeFor[Config]())
	s.Schema, s.Title = "https://json-schema.org/draft/2020-12/schema", DefaultName
	text, err := json.MarshalIndent(s, "", "  ")
	return append(text, '\n'), err
}

const refPattern = `^(env|file):.+`

func schemaOf(t reflect.Type) *schema {
	switch t {
	case reflect.TypeFor[Password]():
		return &schema{OneOf: []*schema{{Type: "string", Pattern: refPattern}, schemaOf(reflect.TypeFor[hashed]())}}
	case reflect.TypeFor[Certificate]():
		return &schema{Type: "string", Pattern: `^(auto$|env:.|file:.)`}
	case reflect.TypeFor[After]():
		return &schema{OneOf: []*schema{{Type: "string", Enum: AfterAction("").Choices()}, schemaOf(reflect.TypeFor[moved]())}}
	case reflect.TypeFor[Journal]():
		return &schema{OneOf: []*schema{{Type: "string", Enum: []string{"embedded"}}, schemaOf(reflect.TypeFor[embedded]()), schemaOf(reflect.TypeFor[cluster]())}}
	case reflect.TypeFor[Lines]():
		return &schema{OneOf: []*schema{{Type: "string", MinLength: 1}, schemaOf(reflect.TypeFor[[]string]())}}
	case reflect.TypeFor[External]():
		return &schema{OneOf: []*schema{schemaOf(reflect.TypeFor[ExternalAddress]()), schemaOf(reflect.TypeFor[[]ExternalRule]())}}
	case reflect.TypeFor[ExternalAddress](), reflect.TypeFor[Network]():
		return &schema{Type: "string", MinLength: 2}
	case reflect.TypeFor[secret.Ref]():
		return &schema{Type: "string", Pattern: refPattern}
	case reflect.TypeFor[hash]():
		return &schema{Type: "string", Pattern: `^\$(argon2id\$v=19|2[aby]\$|6)\$`}
	case reflect.TypeFor[Bits]():
		return &schema{OneOf: []*schema{{Type: "integer"}, {Type: "string", Pattern: `^0?[0-7]{3}$`}}}
	case reflect.TypeFor[time.Duration]():
		return &schema{Type: "string", Pattern: `^[0-9.]+(ms|s|m|h)([0-9.]+(ms|s|m|h))*$`}
	case reflect.TypeFor[PortRange]():
		return &schema{OneOf: []*schema{{Type: "integer"}, {Type: "string", Pattern: `^[0-9]+(-[0-9]+)?$`}}}
	case reflect.TypeFor[Address](), reflect.TypeFor[Endpoint]():
		return &schema{Type: "string", Pattern: `:[0-9]+(-[0-9]+)?$`}
	case reflect.TypeFor[netip.Addr]():
		return &schema{Type: "string", MinLength: 2}
	}
	if c, ok := reflect.Zero(t).Interface().(chooses); ok {
		return &schema{Type: "string", Enum: c.Choices()}
	}
	if reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]()) {
		panic("config: no schema of " + t.String())
	}
	switch t.Kind() {
	case reflect.Pointer:
		return schemaOf(t.Elem())
	case reflect.Slice:
		return &schema{Type: "array", Items: schemaOf(t.Elem()), MinItems: 1}
	case reflect.Struct:
		return schemaOfStruct(t)
	case reflect.Bool:
		return &schema{Type: "boolean"}
	case reflect.Int, reflect.Uint16:
		return &schema{Type: "integer"}
	default:
		return &schema{Type: "string", MinLength: 1}
	}
}

func schemaOfStruct(t reflect.Type) *schema {
	open := false
	s := &schema{Type: "object", Properties: map[string]*schema{}, Closed: &open}
	for _, f := range fieldsOf(t) {
		ft := t.FieldByIndex(f.index).Type
		p := schemaOf(ft)
		p.Description = f.help
		if p.Type == "integer" && f.min != "" {
			low, high := limit(f.min, reflect.Zero(ft)), limit(f.max, reflect.Zero(ft))
			p.Minimum, p.Maximum = &low, &high
		}
		s.Properties[f.key] = p
		if f.need {
			s.Required = append(s.Required, f.key)
		}
	}
	return s
}
