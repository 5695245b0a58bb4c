package ftp

import (
	"slices"
	"strconv"
	"strings"
	"time"
)

// mvsGrammar is what the FTP server of z/OS writes of its data sets, of the members
// of a partitioned one, and of load modules, each below a heading:
//
//	Volume Unit    Referred Ext Used Recfm Lrecl BlkSz Dsorg Dsname
//	F1DBAR 3390   2016/12/19  3   19  FB      80  3120  PO  CB12V51.CNTL
//	F1SYS1 3390   **NONE**    1  300  VB   27994 27998  PS  CB12V51.LOG
//	XRFS95 3390   2017/08/04  313875  FB    1024 27648  PS  'HLQ.NO.GAP'
//	SESPUS 3380                                        VSAM DDIR
//	x31167 Tape                                             UNLOAD.TAPE
//	Migrated                                                DEV.DATA
//
//	 Name     VV.MM   Created       Changed      Size  Init   Mod   Id
//	ALLJ2     01.00 1998/08/07 1998/08/07 11:24     2     2     0 TODD
//	BLSGPROF
//
//	 Name      Size     TTR   Alias-of AC --------- Attributes --------- Amode Rmode
//	DMOCI001  000710   03370C          00 FO                              31    ANY
//
// Sizes there are tracks and records, and "Referred" is when a data set was last
// used: neither the size in bytes nor the time of change is told for a data set. A
// partitioned one is a directory; one that was migrated to slower storage may be
// either, as long as nobody has recalled it, and so is of type Other.
type mvsGrammar struct{ in mvsTable }

// mvsTable is the heading that lines are below.
type mvsTable uint8

const (
	mvsNone mvsTable = iota
	mvsDatasets
	mvsMembers
	mvsModules
)

func (*mvsGrammar) name() string { return "MVS" }
func (*mvsGrammar) end() error   { return nil }

func (g *mvsGrammar) line(p *ListParser, line string) (Entry, error) {
	f := strings.Fields(line)
	if t := mvsHeading(f); t != mvsNone {
		g.in = t
		return Entry{}, ErrSkip
	}
	e := Entry{Size: -1}
	var ok bool
	switch g.in {
	case mvsDatasets:
		ok = e.setDataset(f)
	case mvsMembers:
		ok = e.setMember(f, p.location())
	case mvsModules:
		ok = e.setModule(f)
	}
	if !ok {
		return Entry{}, badListLine(g, line)
	}
	return e, nil
}

func mvsHeading(f []string) mvsTable {
	switch {
	case len(f) == 10 && f[0] == "Volume" && f[1] == "Unit" && f[9] == "Dsname":
		return mvsDatasets
	case len(f) >= 3 && f[0] == "Name" && f[1] == "VV.MM":
		return mvsMembers
	case len(f) >= 3 && f[0] == "Name" && f[1] == "Size" && f[2] == "TTR":
		return mvsModules
	}
	return mvsNone
}

// mvsStates are what stands in place of columns, after a volume or without one.
var mvsStates = map[string]EntryType{
	"Migrated":                     Other,
	"Pseudo Directory":             Dir,
	"Tape":                         File, // tapes hold sequential data sets only
	"VSAM":                         Other,
	"GDG":                          Other, // an index; its generations are listed, too
	"Not Direct Access Device":     Other,
	"Not a DASD device":            Other,
	"Not Mounted":                  Other,
	"Error determining attributes": Other,
}

// setDataset takes the columns of a data set over.
func (e *Entry) setDataset(f []string) bool {
	if len(f) < 2 || !mvsDataset(f[len(f)-1]) {
		return false
	}
	e.Name = f[len(f)-1]
	cols := f[:len(f)-1]
	for skip := 0; skip <= 2 && skip < len(cols); skip++ { // nothing, a volume, volume and unit
		if typ, ok := mvsStates[strings.Join(cols[skip:], " ")]; ok {
			e.Type = typ
			return true
		}
	}
	n := len(cols) // volume unit referred ext used recfm lrecl blksz dsorg; ext and used may touch
	if n != 9 && n != 8 || !mvsReferred(cols[2]) {
		return false
	}
	for i := 3; i < n-1; i++ {
		if _, ok := decimal(cols[i], 10); !ok && i != n-4 { // recfm is letters
			return false
		}
	}
	switch dsorg := cols[n-1]; {
	case dsorg == "PO", dsorg == "PO-E", dsorg == "POU":
		e.Type = Dir
	case strings.HasPrefix(dsorg, "PS"), dsorg == "DA", dsorg == "DAU":
		e.Type = File
	case slices.Contains([]string{"VS", "VSAM", "IS", "NONE", "HFS", "ZFS", "?"}, dsorg):
		e.Type = Other
	default:
		return false
	}
	return true
}

// mvsReferred reports whether s is the date of the last use.
func mvsReferred(s string) bool {
	if strings.HasPrefix(s, "*") && strings.HasSuffix(s, "*") { // **NONE**
		return true
	}
	_, _, _, ok := mvsDate(s)
	return ok
}

// mvsDate parses 2016/12/19.
func mvsDate(s string) (year, month, day int, ok bool) {
	if len(s) != 10 || s[4] != '/' || s[7] != '/' {
		return 0, 0, 0, false
	}
	year, ok1 := decimal(s[:4], 4)
	month, ok2 := decimal(s[5:7], 2)
	day, ok3 := decimal(s[8:], 2)
	return year, month, day, ok1 && ok2 && ok3 && validDate(year, month, day)
}

// mvsDataset reports whether s can be the name of a data set: upper-case letters,
// digits, @ # $ and hyphens in parts of eight, perhaps between quotes.
func mvsDataset(s string) bool {
	if inner, ok := strings.CutPrefix(s, "'"); ok {
		if s, ok = strings.CutSuffix(inner, "'"); !ok {
			return false
		}
	}
	if s == "" || len(s) > 44 {
		return false
	}
	for part := range strings.SplitSeq(s, ".") {
		if !mvsName(part) {
			return false
		}
	}
	return true
}

// mvsName reports whether s is one part of a name, or a member's.
func mvsName(s string) bool {
	if s == "" || len(s) > 8 {
		return false
	}
	for i := range len(s) {
		c := s[i]
		if (c < 'A' || c > 'Z') && (c < '0' || c > '9') && !strings.ContainsRune("@#$-{", rune(c)) {
			return false
		}
	}
	return true
}

// setMember takes over a member: its name alone, or with the statistics that ISPF
// keeps: version, created, changed, time, lines now, at first and changed, user.
func (e *Entry) setMember(f []string, loc *time.Location) bool {
	if !mvsName(f[0]) {
		return false
	}
	e.Name = f[0]
	if len(f) == 1 {
		return true
	}
	if len(f) != 8 && len(f) != 9 || len(f[1]) != 5 || f[1][2] != '.' {
		return false
	}
	if _, _, _, ok := mvsDate(f[2]); !ok {
		return false
	}
	year, month, day, ok := mvsDate(f[3])
	c, ok2 := parseFullClock(f[4])
	if !ok || !ok2 {
		return false
	}
	for _, n := range f[5:8] {
		if _, ok := decimal(n, 9); !ok {
			return false
		}
	}
	e.Time, e.TimePrecision = time.Date(year, time.Month(month), day, 0, c.minutes, c.seconds, 0, loc), c.precision
	if len(f) == 9 {
		e.Owner = f[8]
	}
	return true
}

// setModule takes over a load module: name, size and place in hexadecimal, and more
// that is of no use here.
func (e *Entry) setModule(f []string) bool {
	if !mvsName(f[0]) {
		return false
	}
	e.Name = f[0]
	if len(f) == 1 {
		return true
	}
	if len(f) < 4 || len(f[2]) != 6 {
		return false
	}
	_, err1 := strconv.ParseUint(f[1], 16, 63)
	_, err2 := strconv.ParseUint(f[2], 16, 63)
	return err1 == nil && err2 == nil
}
