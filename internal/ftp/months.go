package ftp

import (
	"strings"
	"sync"
	"unicode"
	"unicode/utf8"

	"golang.org/x/text/encoding"
	"golang.org/x/text/encoding/charmap"
	"golang.org/x/text/encoding/japanese"
	"golang.org/x/text/encoding/korean"
	"golang.org/x/text/encoding/simplifiedchinese"
	"golang.org/x/text/encoding/traditionalchinese"
)

// foreignMonths are the abbreviated months of the locales that ls speaks, a month a
// line (the abmon of glibc's and CLDR's locales). Names that stand for different
// months in different languages, as "lis" does in Polish and Croatian, are those of
// the languages here and of no other.
var foreignMonths = [12]string{
	"jän ene gen janv jan sty led янв січ oca ian tammi",
	"fév févr lut úno фев лют şub helmi",
	"mär mrz mars març márc mrt maa bře мар бер maalis",
	"avr abr ápr kwi dub апр кві nis huhti",
	"mai mayo mag maj maio mei máj kvě май мая тра touko",
	"juin giu junho jún cze čen июн чер haz kesä",
	"juil lug júl čec lip июл лип tem heinä",
	"aoû août ago sie srp авг сер ağu elo",
	"set sept szept wrz zář сен вер eyl syys",
	"okt out paź ott říj окт жов eki loka",
	"lis ноя лис kas marras",
	"dez déc dic gru pro des ara дек гру joulu",
}

// legacy are the character sets that such names come in beside UTF-8.
var legacy = []encoding.Encoding{
	charmap.ISO8859_1, charmap.ISO8859_2, charmap.ISO8859_5, charmap.ISO8859_9, charmap.Windows1250, charmap.Windows1251,
	charmap.Windows1254, charmap.CodePage850, charmap.CodePage852, charmap.CodePage866, charmap.KOI8R, charmap.KOI8U,
}

// monthTable has every spelling, in its bytes.
var monthTable = sync.OnceValue(func() map[string]int {
	table := map[string]int{}
	for i, line := range foreignMonths {
		for _, name := range strings.Fields(line) {
			r, n := utf8.DecodeRuneInString(name)
			for _, spelled := range []string{name, string(unicode.ToUpper(r)) + name[n:], strings.ToUpper(name)} {
				addMonth(table, spelled, i+1)
				for _, enc := range legacy {
					if b, err := enc.NewEncoder().String(spelled); err == nil {
						addMonth(table, b, i+1)
					}
				}
			}
		}
	}
	return table
})

// addMonth adds a spelling; one that stands for two months stands for none.
func addMonth(table map[string]int, name string, month int) {
	if old, ok := table[name]; ok && old != month {
		month = 0
	}
	table[name] = month
}

// monthSigns are what Chinese, Japanese and Korean write behind the number of a
// month, in the bytes of their character sets.
var monthSigns = sync.OnceValue(func() []string {
	signs := []string{"月", "월"}
	for _, enc := range []encoding.Encoding{japanese.ShiftJIS, japanese.EUCJP, simplifiedchinese.GBK, traditionalchinese.Big5} {
		if b, err := enc.NewEncoder().String("月"); err == nil {
			signs = append(signs, b)
		}
	}
	if b, err := korean.EUCKR.NewEncoder().String("월"); err == nil {
		signs = append(signs, b)
	}
	return signs
})

// foreignMonth returns 1 to 12 for an abbreviation in one of the languages known
// here, perhaps with a point behind it, else 0.
func foreignMonth(s string) int {
	if len(s) < 3 || len(s) > 16 {
		return 0
	}
	if s[0] >= '0' && s[0] <= '9' {
		for _, sign := range monthSigns() {
			if n, ok := strings.CutSuffix(s, sign); ok {
				if m, ok := decimal(n, 2); ok && m >= 1 && m <= 12 {
					return m
				}
			}
		}
		return 0
	}
	name := strings.TrimSuffix(s, ".")
	if len(name) < len(s) {
		if m := monthNumberEnglish(name); m > 0 {
			return m
		}
	}
	return monthTable()[name]
}
