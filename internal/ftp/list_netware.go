package ftp

import "strings"

// netwareGrammar is what Novell NetWare writes. The letters are the rights that
// the user has in effect:
//
//	d [RWCEAFMS] supervisor              512 Jan 16 18:53    login
//	- [R----F--] rhesus               214059 Oct 20  2003    cx.exe
type netwareGrammar struct{}

func (netwareGrammar) name() string { return "NetWare" }
func (netwareGrammar) end() error   { return nil }

func (g netwareGrammar) line(p *ListParser, line string) (Entry, error) {
	if isTotal(line) {
		return Entry{}, ErrSkip
	}
	bad := badListLine(g, line)
	e := Entry{Size: -1}
	switch line[0] {
	case '-':
	case 'd':
		e.Type = Dir
	default:
		return Entry{}, bad
	}
	rights, rest, ok := strings.Cut(strings.TrimPrefix(line[1:], " "), "]")
	if !ok || !strings.HasPrefix(rights, "[") || strings.Trim(rights[1:], "SRWCEAFM-") != "" || !e.setColumnsAndDate(rest, p.Now, p.location()) {
		return Entry{}, bad
	}
	// The name stands in a column of its own, several spaces after the date, and
	// NetWare's names do not begin with one.
	e.Name = strings.TrimLeft(e.Name, " ")
	if e.Name == "" {
		return Entry{}, bad
	}
	e.setDots()
	return e, nil
}
