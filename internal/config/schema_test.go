package config_test

import (
	"encoding/json"
	"fmt"
	"os"
	"regexp"
	"slices"
	"testing"

	yaml "github.com/goccy/go-yaml"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/testkit"
)

type node = map[string]any

func newSchema(t *testing.T) node {
	t.Helper()
	text, err := config.Schema()
	if err != nil {
		t.Fatal(err)
	}
	testkit.Golden(t, "testdata/schema.json", text)
	var s node
	if err := json.Unmarshal(text, &s); err != nil {
		t.Fatal(err)
	}
	return s
}

// fits checks v against the part of JSON Schema that the schema uses, and fails on
// any word that it does not know.
func fits(s node, v any, at string) error {
	for word := range s {
		if !slices.Contains([]string{"$schema", "title", "description", "type", "enum", "pattern", "minLength", "minimum", "maximum",
			"oneOf", "items", "minItems", "properties", "required", "additionalProperties"}, word) {
			return fmt.Errorf("%s: word %q is not known to this test", at, word)
		}
	}
	if one, ok := s["oneOf"].([]any); ok {
		n := 0
		for _, o := range one {
			if fits(o.(node), v, at) == nil {
				n++
			}
		}
		if n != 1 {
			return fmt.Errorf("%s: %v fits %d of %d forms", at, v, n, len(one))
		}
		return nil
	}
	switch s["type"] {
	case "object":
		return fitsObject(s, v, at)
	case "array":
		list, ok := v.([]any)
		if !ok || len(list) == 0 {
			return fmt.Errorf("%s: %v is no list of something", at, v)
		}
		for i, e := range list {
			if err := fits(s["items"].(node), e, fmt.Sprintf("%s[%d]", at, i)); err != nil {
				return err
			}
		}
	case "string":
		text, ok := v.(string)
		if !ok || text == "" {
			return fmt.Errorf("%s: %v is no text", at, v)
		}
		if p, ok := s["pattern"].(string); ok && !regexp.MustCompile(p).MatchString(text) {
			return fmt.Errorf("%s: %q does not match %s", at, text, p)
		}
		if e, ok := s["enum"].([]any); ok && !slices.Contains(e, any(text)) {
			return fmt.Errorf("%s: %q is none of %v", at, text, e)
		}
	case "integer":
		n, ok := v.(float64)
		low, bounded := s["minimum"].(float64)
		if !ok || bounded && (n < low || n > s["maximum"].(float64)) {
			return fmt.Errorf("%s: %v is no whole number within bounds", at, v)
		}
	case "boolean":
		if _, ok := v.(bool); !ok {
			return fmt.Errorf("%s: %v is neither true nor false", at, v)
		}
	default:
		return fmt.Errorf("%s: the schema has type %v", at, s["type"])
	}
	return nil
}

func fitsObject(s node, v any, at string) error {
	m, ok := v.(node)
	if !ok {
		return fmt.Errorf("%s: %v is no mapping", at, v)
	}
	if s["additionalProperties"] != false {
		return fmt.Errorf("%s: the schema lets every key in", at)
	}
	props := s["properties"].(node)
	for key, e := range m {
		p, ok := props[key].(node)
		if !ok {
			return fmt.Errorf("%s: unknown key %s", at, key)
		}
		if err := fits(p, e, at+"."+key); err != nil {
			return err
		}
	}
	required, _ := s["required"].([]any)
	for _, key := range required {
		if _, ok := m[key.(string)]; !ok {
			return fmt.Errorf("%s: %s is missing", at, key)
		}
	}
	return nil
}

// value reads a document as a schema checker does: without our types.
func value(t *testing.T, text []byte) any {
	t.Helper()
	b, err := yaml.YAMLToJSON(text)
	if err != nil {
		t.Fatal(err)
	}
	var v any
	if err := json.Unmarshal(b, &v); err != nil {
		t.Fatal(err)
	}
	return v
}

func TestSchemaTakesTheExample(t *testing.T) {
	s := newSchema(t)
	text, err := os.ReadFile(example)
	if err != nil {
		t.Fatal(err)
	}
	if err := fits(s, value(t, text), "document"); err != nil {
		t.Error(err)
	}
	effective := mustParse(t, string(text)).Effective()
	if err := fits(s, value(t, effective), "effective"); err != nil {
		t.Error(err)
	}
}

func TestSchemaRefuses(t *testing.T) {
	s := newSchema(t)
	for name, text := range map[string]string{
		"unknown-key":      "sitse: []",
		"missing":          "sites: [{name: a}]",
		"literal-password": "accounts: [{name: a, password: hunter2}]",
		"word":             "flows: [{name: a, source: {local: {path: /a}, after: move}, sinks: [{local: {path: /b}}]}]",
		"range":            "flows: [{name: a, concurrency: 65, source: {local: {path: /a}}, sinks: [{local: {path: /b}}]}]",
		"bool":             "sites: [{name: a, path: /a, read_only: yes please}]",
		"address":          "gateway: {listen: gateway}",
	} {
		t.Run(name, func(t *testing.T) {
			if err := fits(s, value(t, []byte(text)), "document"); err == nil {
				t.Errorf("the schema takes %s", text)
			}
		})
	}
}
