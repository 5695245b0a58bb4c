package ftpclient

import (
	"strings"

	"sallyport.dev/internal/ftp"
)

// Features are what a server says that it offers (RFC 2389). None is not proof of
// absence: old servers offer nothing and can much.
type Features struct {
	UTF8       bool                 // RFC 2640
	MLST       bool                 // MLST and MLSD, RFC 3659 section 7
	Facts      ftp.Facts            // those that MLST gives, as far as they are known here
	Size       bool                 // SIZE, RFC 3659 section 4
	MDTM       bool                 // RFC 3659 section 3
	MFMT       bool                 // setting the modification time
	RestStream bool                 // REST in stream mode, RFC 3659 section 5
	EPSV       bool                 // RFC 2428
	AuthTLS    bool                 // RFC 4217
	TVFS       bool                 // RFC 3659 section 6: paths are /-separated
	HASH       bool                 // draft-bryan-ftpext-hash
	Hashes     map[Algorithm]string // the hashes that it makes of files, and the command for each
	XCRC       bool
	CLNT       bool
	HOST       bool // RFC 7151
}

// ParseFeatures reads the lines of a FEAT reply. The first and the last, which
// frame the list, and features that are not known here are passed over.
func ParseFeatures(lines []string) Features {
	var f Features
	if len(lines) < 3 {
		return f // a single line says that there are none
	}
	for _, line := range lines[1 : len(lines)-1] {
		name, params, _ := strings.Cut(strings.TrimSpace(line), " ")
		switch strings.ToUpper(name) {
		case "UTF8", "UTF-8":
			f.UTF8 = true
		case "MLST":
			f.MLST = true
			f.Facts = ftp.ParseFacts(strings.ReplaceAll(params, "*", ""))
		case "MLSD":
			f.MLST = true // against RFC 3659 section 7.8, but some say only this
		case "SIZE":
			f.Size = true
		case "MDTM":
			f.MDTM = true
		case "MFMT":
			f.MFMT = true
		case "REST":
			f.RestStream = strings.EqualFold(strings.TrimSpace(params), "STREAM")
		case "EPSV":
			f.EPSV = true
		case "AUTH":
			f.AuthTLS = f.AuthTLS || hasTLS(params)
		case "TVFS":
			f.TVFS = true
		case "HASH":
			f.HASH = true
			f.readHashes("HASH", params)
		case "XCRC":
			f.XCRC = true
			f.readHashes("XCRC", params)
		case "XMD5", "MD5", "XSHA", "XSHA1", "XSHA256", "XSHA512":
			f.readHashes(strings.ToUpper(name), params)
		case "CLNT":
			f.CLNT = true
		case "HOST":
			f.HOST = true
		}
	}
	return f
}

// hasTLS reports whether a list such as "TLS;TLS-C;SSL;TLS-P;" or "SSL TLS" has TLS.
func hasTLS(params string) bool {
	for _, word := range strings.FieldsFunc(params, func(r rune) bool { return r == ';' || r == ' ' || r == ',' }) {
		if strings.EqualFold(word, "TLS") || strings.EqualFold(word, "TLS-C") {
			return true
		}
	}
	return false
}
