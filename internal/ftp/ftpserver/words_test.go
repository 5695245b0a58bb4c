package ftpserver_test

import (
	"strings"
	"testing"
)

// TestWords gives single commands in a state and wants a code each.
func TestWords(t *testing.T) {
	long := strings.Repeat("x", 5000)
	for name, words := range map[string][]string{
		"before-login": {
			"PWD 530", "RETR x 530", "PASV 530", "LIST 530", "TYPE I 530", "STAT / 530", "MKD x 530", "ABOR 530",
			"NOOP 200", "SYST 215", "FEAT 211", "HELP 214", "HELP retr 214", "STAT 211", "OPTS UTF8 ON 200", "SITE HELP 214",
			"PASS x 503", "USER 501", "AUTH TLS 534", "AUTH SSL 534", "PBSZ 0 503", "PROT P 503", "CCC 534",
		},
		"login": {
			"user anna 331", "PASS wrong 530", "PASS secret 503", "USER anna 331", "pass secret 230", "PASS secret 503",
			"PWD 257", "USER guest 331", "PWD 530", "PASS any 230", "PWD 257", "USER anna 331", "USER anna 331", "PASS 530", "USER anna 331", "PASS secret 230", "REIN 220", "PWD 530", "PASS secret 503", "USER anna 331", "PASS secret 230", "rein 220",
		},
		"unknown": {"XYZZY 500", "HELP xyzzy 501", "GET / HTTP/1.1 500", ". 500", "NOOP 200", "X" + long + " 500", "NOOP " + long + " 500", "NOOP 200"},
		"arguments": {
			"+", "PWD x 501", "NOOP x 501", "QUIT x 501", "CDUP x 501", "FEAT x 501", "PASV x 501", "ABOR x 501",
			"CWD 501", "RETR 501", "STOR 501", "APPE 501", "DELE 501", "MKD 501", "RMD 501", "RNFR 501", "RNTO 501", "SIZE 501",
			"MDTM 501", "TYPE 501", "MODE 501", "STRU 501", "PORT 501", "EPRT 501", "REST 501", "OPTS 501", "SITE 501", "MFMT 501",
		},
		"parameters": {
			"+", "TYPE A 200", "type a n 200", "TYPE I 200", "TYPE L 8 200", "type i 200", "TYPE E 504", "TYPE A T 504", "TYPE L 7 504",
			"MODE S 200", "mode s 200", "MODE B 504", "MODE Z 504", "STRU F 200", "stru f 200", "STRU R 504", "STRU P 504",
			"ALLO 10 200", "ALLO 202", "REST 0 350", "REST 99 350", "REST -1 501", "REST +1 501", "REST x 501", "REST 9223372036854775808 501",
			"OPTS MLST size;type; 200", "OPTS MLST 200", "OPTS UTF8 OFF 504", "OPTS RETR x 501", "SITE XYZZY 504",
			"ACCT x 202", "SMNT / 502", "LANG en 200", "lang EN-US 200", "LANG 200", "LANG de 504", "HOST x 502", "CLNT lftp/4.9 200", "CLNT 501",
			"ALLO 10 R 80 200", "ALLO 10 R x 501", "ALLO 10 X 2 501", "ALLO x 501", "ALLO -1 501", "ALLO 9223372036854775807 452", "AVBL 213", "AVBL / 213", "AVBL none 550",
		},
		"folders": {
			"+", "MKD a 257", "MKD a 550", "XMKD a/b 257", "MKD x/y 550", "CWD a 250", "PWD 257", "CDUP 250", "XCWD /a/b 250", "XCUP 250", "CDUP 250", "CDUP 250",
			"CWD none 550", "RMD a 550", "RMD a/b 250", "XRMD a 250", "RMD a 550", "RMD / 550", "XPWD 257", "DELE / 550", "CWD .. 250", "CWD ../../.. 250",
		},
		"sequences": {
			"+", "RNTO x 503", "MKD a 257", "RNFR a 350", "RNTO b 250", "RNFR none 550", "RNTO c 503", "RNFR b 350", "NOOP 200", "RNTO c 503",
			"RETR none 550", "STOR none/x 550", "STOR b 550", "APPE b 550", "RETR b 550", "RETR / 550", "LIST none 550", "NLST none 550", "MLSD none 550", "MLST none 550",
			"SIZE b 550", "SIZE none 550", "MDTM none 550", "STAT none 550", "LIST 425", "NLST 425", "MLSD 425", "STOR x 425", "APPE y 425",
			"ABOR 225", "EPSV 229", "ABOR 225", "LIST 425", "DELE b 550",
		},
		"data-addresses": {
			"+", "PORT 127,0,0,1,4,0 200", "PORT 127,0,0,1,3,255 504", "PORT 10,0,0,1,40,0 504", "PORT 127,0,0,1,256,0 501", "PORT 1,2,3 501",
			"EPRT |1|127.0.0.1|2000| 200", "EPRT |1|127.0.0.1|1023| 504", "EPRT |1|127.0.0.2|2000| 504", "EPRT |1|0.0.0.0|2000| 200", "EPRT |1|0.0.0.0|1023| 504", "PORT 0,0,0,0,8,0 200", "EPRT |2|::1|2000| 522", "EPRT |3|x|2000| 522", "EPRT x 501",
			"EPSV 229", "EPSV 1 229", "EPSV 2 522", "EPSV 3 522", "EPSV x 501", "PASV 227", "EPSV ALL 200", "PASV 503", "PORT 127,0,0,1,4,0 503", "EPRT |1|127.0.0.1|2000| 503", "EPSV 229",
		},
		"site": {
			"SITE HELP 214", "SITE UMASK 530", "SITE IDLE 530", "SITE CHMOD 644 x 530", "+", "site help 214", "MKD d 257",
			"SITE CHMOD 750 d 200", "site chmod 0700 d 200", "SITE CHMOD 1777 d 501", "SITE CHMOD 8 d 501", "SITE CHMOD 700 501", "SITE CHMOD 501", "SITE CHMOD 700 none 550", "SITE CHMOD 700 / 550", "SITE CHMOD 700 ../../etc 550",
			"SITE UTIME 20240102030405 d 200", "SITE UTIME 202401020304 d 200", "SITE UTIME d 20240102030405 20240102030405 20240102030405 UTC 200", "SITE UTIME x d 501", "SITE UTIME 20240102030405 501", "SITE UTIME 20240102030405 none 550", "SITE UTIME / 20240102030405 20240102030405 20240102030405 UTC 550",
			"SITE UMASK 200", "SITE UMASK 027 200", "SITE UMASK 200", "SITE UMASK 1000 501", "SITE UMASK x 501",
			"SITE IDLE 200", "SITE IDLE 60 200", "SITE IDLE 9 501", "SITE IDLE 301 501", "SITE IDLE x 501", "SITE IDLE 300 200",
			"USER guest 331", "PASS x 230", "SITE CHMOD 700 d 550", "SITE UTIME 20240102030405 d 550", "SITE IDLE 60 200",
		},
		"names": {"+", "STOR a\x00b 500", "MKD " + strings.Repeat("a/", 2000) + "x 550", "MKD " + strings.Repeat("a", 300) + " 553", `MKD q"uote 257`, "MKD  lead 257", "CWD  lead 250"},
	} {
		t.Run(name, func(t *testing.T) {
			bubble(t, nil, func(t *testing.T, s *site) {
				c := s.dial()
				for _, w := range words {
					if w == "+" {
						c.want("USER anna", 331)
						c.want("PASS secret", 230)
						c.want("TYPE I", 200)
						continue
					}
					c.word(w)
				}
				c.want("QUIT", 221)
				c.eof()
			})
		})
	}
}
