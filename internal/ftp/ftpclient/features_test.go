package ftpclient_test

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"sallyport.dev/internal/ftp"
	"sallyport.dev/internal/ftp/ftpclient"
)

func TestParseFeatures(t *testing.T) {
	for name, row := range map[string]struct {
		text string
		want ftpclient.Features
	}{
		"vsftpd": {
			"Features:\nEPRT\nEPSV\nMDTM\nPASV\nREST STREAM\nSIZE\nTVFS\nEnd",
			ftpclient.Features{EPSV: true, MDTM: true, RestStream: true, Size: true, TVFS: true},
		},
		"iis": {
			"Extended features supported:\nLANG EN*\nUTF8\nAUTH TLS;TLS-C;SSL;TLS-P;\nPBSZ\nPROT C;P;\nCCC\nHOST\nSIZE\nMDTM\nREST STREAM\nEND",
			ftpclient.Features{UTF8: true, AuthTLS: true, HOST: true, Size: true, MDTM: true, RestStream: true},
		},
		"pureftpd": {
			"Extensions supported:\nUTF8\nMFMT\nMLST type*;size*;sizd*;modify*;UNIX.mode*;unique*;\nMLSD\nEnd.",
			ftpclient.Features{UTF8: true, MFMT: true, MLST: true, Facts: ftp.FactType | ftp.FactSize | ftp.FactModify | ftp.FactUnixMode | ftp.FactUnique},
		},
		"none":       {"no features", ftpclient.Features{}},
		"only-frame": {"UTF8\nMLST", ftpclient.Features{}},
		"lower-case": {"x\n utf8\nrest stream\nAUTH SSL\nx", ftpclient.Features{UTF8: true, RestStream: true}},
	} {
		got := ftpclient.ParseFeatures(strings.Split(row.text, "\n"))
		if diff := cmp.Diff(row.want, got); diff != "" {
			t.Errorf("%s (-want +got):\n%s", name, diff)
		}
	}
}

// FuzzParseFeatures holds that features depend on the lines between the first and
// the last alone, and neither on their order nor on what is not known.
func FuzzParseFeatures(f *testing.F) {
	f.Add("Features:\nUTF8\nMLST type*;size;\nREST STREAM\nAUTH TLS\nEnd")
	f.Add("x\n\n mlst \nREST\nrest  stream\nAUTH SSL;TLS-C;\n\x00\xff\ny")
	f.Add("")
	f.Fuzz(func(t *testing.T, text string) {
		lines := strings.Split(text, "\n")
		got := ftpclient.ParseFeatures(lines)
		if len(lines) < 3 {
			if diff := cmp.Diff(ftpclient.Features{}, got); diff != "" {
				t.Fatalf("features out of nothing:\n%s", diff)
			}
			return
		}
		more := append([]string{"MFMT", "X-UNHEARD-OF 1"}, lines[1:]...)
		more[len(more)-1] = "TVFS"
		if diff := cmp.Diff(got, ftpclient.ParseFeatures(more)); diff != "" {
			t.Fatalf("the frame or something unknown counted:\n%s", diff)
		}
	})
}
