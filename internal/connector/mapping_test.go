package connector_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/connector"
	"sallyport.dev/internal/fault"
)

func TestParseExpose(t *testing.T) {
	for in, want := range map[string]connector.Mapping{
		"ftp-erp:21=10.0.0.5:21,protocol=ftp":        {Virtual: "ftp-erp:21", Internal: "10.0.0.5:21", Protocol: "ftp"},
		"legacy:21=10.0.0.6:21,data_ports=5000-5010": {Virtual: "legacy:21", Internal: "10.0.0.6:21", DataPorts: "5000-5010"},
		"db:5432=db.corp:5432":                       {Virtual: "db:5432", Internal: "db.corp:5432"},
		"v6:7000-7009=[fd00::5]:9000-9009":           {Virtual: "v6:7000-7009", Internal: "[fd00::5]:9000-9009"},
	} {
		got, err := connector.ParseExpose(in)
		if err != nil {
			t.Errorf("%s: %v", in, err)
			continue
		}
		if d := cmp.Diff(want, got); d != "" {
			t.Errorf("%s: %s", in, d)
		}
		if got.String() != in {
			t.Errorf("got %q back, want %q", got, in)
		}
	}
}

func TestParseExposeRefuses(t *testing.T) {
	for in, want := range map[string]struct {
		kind fault.Kind
		text string
		hint string
	}{
		"ftp-erp:21":                           {fault.Invalid, "has no =", "ftp-erp:21=10.0.0.5:21"},
		"ftp-erp=10.0.0.5:21":                  {fault.Invalid, "host:port", "VIRTUAL:PORT"},
		"ftp-erp:21=10.0.0.5":                  {fault.Invalid, "host:port", "VIRTUAL:PORT"},
		"ftp-erp:0=10.0.0.5:21":                {fault.Invalid, "1 to 65535", ""},
		"ftp-erp:21=10.0.0.5:65536":            {fault.Invalid, "1 to 65535", ""},
		"a:5000-4000=b:5000-4000":              {fault.Invalid, "rising order", ""},
		"a:1-10=b:1-9":                         {fault.Invalid, "10 virtual ports and 9 internal", "as many"},
		"a b:21=c:21":                          {fault.Invalid, "printable", ""},
		"ftp-erp:21=h:21,protocol=http":        {fault.Invalid, `protocol "http"`, "tcp or ftp"},
		"ftp-erp:21-30=h:21-30,protocol=ftp":   {fault.Invalid, "one port", "control port"},
		"ftp-erp:21=h:21,protocol=ftps":        {fault.Unsupported, "protocol: ftps", "data_ports"},
		"ftp-erp:21=h:21,ftps=terminate":       {fault.Unsupported, "ftps=terminate", "data_ports"},
		"ftp-erp:21=h:21,proto=ftp":            {fault.Invalid, `unknown option "proto=ftp"`, "protocol"},
		"ftp-erp:21=h:21,data_ports=5010-5000": {fault.Invalid, "data_ports", ""},
		"ftp-erp:21=h:21,data_ports=all":       {fault.Invalid, "data_ports", ""},
	} {
		_, err := connector.ParseExpose(in)
		if fault.KindOf(err) != want.kind || err == nil || !strings.Contains(err.Error(), want.text) || !strings.Contains(fault.HintOf(err), want.hint) {
			t.Errorf("%s: got %v (%v), hint %q", in, err, fault.KindOf(err), fault.HintOf(err))
		}
	}
}

func TestCheck(t *testing.T) {
	c := &connector.Connector{Mappings: []connector.Mapping{
		{Virtual: "a:21", Internal: "10.0.0.5:21"},
		{Virtual: "b:21", Internal: "10.0.0.5:21", Protocol: "ftp"},
		{Virtual: "c:21", Internal: "10.0.0.5:21", DataPorts: "5000-5010"},
		{Virtual: "d:22", Internal: "10.0.0.5:22"},
	}}
	warnings, err := c.Check()
	if err != nil || len(warnings) != 1 || !strings.Contains(warnings[0], "a:21=10.0.0.5:21") {
		t.Errorf("got %q, %v; want one warning, of a:21", warnings, err)
	}
	c.Mappings = append(c.Mappings, connector.Mapping{Virtual: "C.:5005", Internal: "10.0.0.7:1"})
	if _, err := c.Check(); fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), "c:5000-5010 and C.:5005 overlap") {
		t.Errorf("got %v, want that they overlap", err)
	}
}

func FuzzParseExpose(f *testing.F) {
	f.Add("ftp-erp:21=10.0.0.5:21,protocol=ftp")
	f.Add("legacy:21=10.0.0.6:21,protocol=tcp,data_ports=5000-5010")
	f.Add("v6:7000-7009=[fd00::5]:9000-9009")
	f.Fuzz(func(t *testing.T, in string) {
		m, err := connector.ParseExpose(in)
		if err != nil {
			if m != (connector.Mapping{}) {
				t.Fatalf("error with %+v", m)
			}
			return
		}
		again, err := connector.ParseExpose(m.String())
		if err != nil || again != m {
			t.Fatalf("%q: got %+v and then %+v, %v", in, m, again, err)
		}
	})
}
