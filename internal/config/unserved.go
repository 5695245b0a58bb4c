package config

import (
	"slices"
	"strings"
)

// unserved lists what a document may ask for and this version cannot honour. A
// part that asks for it is refused at the start: it is never run with less
// protection, or with less care for files, than its document says.
//
// A row is about the key at Key ([] stands for any element of a list) when it is
// written, or only when it says one of Only. A row leaves when its work is done.
var unserved = []struct {
	Key  string
	Only []string
	Hint string // what works
}{
	{"journal.urls", nil, "write journal: embedded"},
	{"connector.mappings[].protocol", []string{"ftps"}, "write protocol: ftp for plain FTP, or tcp with data_ports for FTPS end to end"},
	{"connector.mappings[].ftps", []string{"same-host", "terminate"}, "write ftps: off, or protocol: tcp with data_ports for FTPS end to end"},
	{"connector.mappings[].active", []string{"on"}, "passive mode travels; write active: off"},
	{"flows[].sinks[].ftp.existing", []string{"append"}, "write existing: fail, replace or ignore"},
	{"flows[].sinks[].local.existing", []string{"append"}, "write existing: fail, replace or ignore"},
}

// Unserved lists the keys at and below path (see [Document.Pos]; "" is the whole
// document) that the document asks for and this version cannot honour, sorted by
// place. What is listed must not be run.
func (d *Document) Unserved(path string) Faults {
	var fs Faults
	for at, v := range d.places.at {
		if path != "" && at != path && !strings.HasPrefix(at, path+".") && !strings.HasPrefix(at, path+"[") {
			continue
		}
		key := pattern(at)
		for _, row := range unserved {
			if row.Key == key && (row.Only == nil || slices.Contains(row.Only, v.text)) {
				fs = append(fs, d.Fault(at, row.Hint, "%s is not served by this version", asked(row.Only, v.text)))
			}
		}
	}
	fs.sort()
	return fs
}

// asked says what was asked for, beside the path of the key.
func asked(only []string, text string) string {
	if only == nil {
		return "this key"
	}
	return text
}

// pattern returns path with [] for every index.
func pattern(path string) string {
	var b strings.Builder
	for {
		before, after, ok := strings.Cut(path, "[")
		b.WriteString(before)
		if !ok {
			return b.String()
		}
		b.WriteString("[]")
		_, path, _ = strings.Cut(after, "]")
	}
}
