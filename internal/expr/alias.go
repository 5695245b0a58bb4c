package expr

import (
	"strconv"
	"strings"
)

// aliases are the holes that Camel's file language and SAP's adapters know, and
// what they are here.
var aliases = map[string]string{
	"file:name":                  "file.path",
	"file:name.ext":              "fullext(file.name)",
	"file:name.ext.single":       "file.ext",
	"file:name.noext":            "noext(file.path)",
	"file:name.noext.single":     "file.dir == '' ? file.stem : file.dir + '/' + file.stem",
	"file:onlyname":              "file.name",
	"file:onlyname.noext":        "noext(file.name)",
	"file:onlyname.noext.single": "file.stem",
	"file:ext":                   "fullext(file.name)",
	"file:parent":                "file.dir",
	"file:path":                  "file.path",
	"file:size":                  "file.size",
	"file:length":                "file.size",
	"header.CamelFileName":       "file.path",
	"header.CamelFileNameOnly":   "file.name",
	"header.CamelFileParent":     "file.dir",
	"header.CamelFileLength":     "file.size",
	"routeId":                    "flow",
}

// translate turns a hole in Camel's spelling into an expression. A hole in our own
// spelling comes back as it is.
func translate(text string, at position) (string, bool, error) {
	name := strings.TrimSpace(text)
	if src, ok := aliases[name]; ok {
		return src, true, nil
	}
	scheme, rest, ok := strings.Cut(name, ":")
	switch {
	case ok && scheme == "date":
		src, err := translateDate(rest, at)
		return src, true, err
	case ok && scheme == "file" && isWord(rest):
		return "", true, at.fault("", 0, "unknown name "+strconv.Quote(name),
			"known are file:name, file:name.noext, file:ext, file:parent, file:onlyname, file:onlyname.noext, file:path, file:size")
	case strings.HasPrefix(name, "header.") || strings.HasPrefix(name, "property.") || strings.HasPrefix(name, "exchangeProperty."):
		return "", true, at.fault("", 0, "there is no "+strconv.Quote(name)+": a flow carries files, not messages",
			"known here are file, now and flow; of headers, CamelFileName, CamelFileNameOnly, CamelFileParent and CamelFileLength")
	}
	return text, false, nil
}

// translateDate takes "now:yyyyMMdd" or "file:yyyyMMdd".
func translateDate(rest string, at position) (string, error) {
	of, pattern, ok := strings.Cut(rest, ":")
	src := map[string]string{"now": "now", "file": "file.time", "header.CamelFileLastModified": "file.time"}[of]
	if !ok || src == "" || pattern == "" {
		return "", at.fault("", 0, "date: needs a time and a pattern", "write ${date:now:yyyyMMdd} or ${date:file:yyyyMMdd}")
	}
	var terms []string
	for pattern != "" {
		term, n, problem := dateTerm(src, pattern)
		if problem != "" {
			return "", at.fault("", 0, problem,
				"known are y M d H h m s S a E z Z X and quoted text; or write now.Format('2006-01-02')")
		}
		terms = append(terms, term)
		pattern = pattern[n:]
	}
	return strings.Join(terms, " + "), nil
}

// dateLetters are runs of a letter in Java's date patterns and Go's layout for them.
var dateLetters = map[string]string{
	"yyyy": "2006", "yy": "06", "y": "2006", "uuuu": "2006",
	"MMMM": "January", "MMM": "Jan", "MM": "01", "M": "1",
	"dd": "02", "d": "2", "DDD": "002",
	"HH": "15", "hh": "03", "h": "3",
	"mm": "04", "m": "4", "ss": "05", "s": "5",
	"a": "PM", "EEEE": "Monday", "EEE": "Mon", "E": "Mon",
	"z": "MST", "Z": "-0700", "XXX": "Z07:00", "X": "Z07",
}

// dateTerm translates the first run of pattern into an expression that gives text.
// Literal text is kept apart from layouts, since Go would read digits in it.
func dateTerm(src, pattern string) (term string, n int, problem string) {
	c := pattern[0]
	switch {
	case c == '\'':
		end := strings.IndexByte(pattern[1:], '\'')
		if end < 0 {
			return "", 0, "a quote in the date pattern is not closed"
		}
		if end == 0 {
			return strconv.Quote("'"), 2, ""
		}
		return strconv.Quote(pattern[1 : 1+end]), end + 2, ""
	case isLetter(c):
		n = 1
		for n < len(pattern) && pattern[n] == c {
			n++
		}
		run := pattern[:n]
		if c == 'S' {
			if n > 9 {
				return "", 0, "the date pattern " + strconv.Quote(run) + " is longer than nanoseconds are"
			}
			return src + ".Format(" + strconv.Quote("."+strings.Repeat("0", n)) + ")[1:]", n, ""
		}
		layout, ok := dateLetters[run]
		if !ok {
			return "", 0, "the date pattern has no " + strconv.Quote(run)
		}
		return src + ".Format(" + strconv.Quote(layout) + ")", n, ""
	default:
		n = 1
		for n < len(pattern) && pattern[n] != '\'' && !isLetter(pattern[n]) {
			n++
		}
		return strconv.Quote(pattern[:n]), n, ""
	}
}

func isLetter(c byte) bool { return 'a' <= c|0x20 && c|0x20 <= 'z' }

// isWord reports whether s could be a Camel name rather than an expression.
func isWord(s string) bool {
	for i := range len(s) {
		if c := s[i]; !isLetter(c) && c != '.' && c != '-' {
			return false
		}
	}
	return s != ""
}
