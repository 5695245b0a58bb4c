package connector

import (
	"errors"
	"fmt"
	"net/netip"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/tunnel/frame"
)

// hole returns an announcement of ftp-N's, whose server is 10.0.0.N.
func hole(principal string, n byte, port uint16) pinhole {
	server := netip.AddrFrom4([4]byte{10, 0, 0, n})
	return pinhole{
		principal: principal, session: frame.ID{n}, mapping: fmt.Sprintf("ftp-%d:21", n), virtual: fmt.Sprintf("ftp-%d", n),
		port: port, advertised: server, target: netip.AddrPortFrom(server, port), local: netip.MustParseAddr("10.0.0.99"),
	}
}

func mustAdd(t *testing.T, table *pinholes, ps ...pinhole) {
	t.Helper()
	for _, p := range ps {
		if err := table.add(p); err != nil {
			t.Fatal(err)
		}
	}
}

func TestPinholeTake(t *testing.T) {
	twins := hole("user:a", 2, 40122)
	twins.target = netip.MustParseAddrPort("10.0.0.1:40122") // another session to the server of ftp-1
	twins.advertised = netip.MustParseAddr("10.0.0.1")
	tests := []struct {
		name      string
		holes     []pinhole
		principal string
		host      string
		port      uint16
		want      string // the target; empty: denied
		why       string // in the refusal and its hint
	}{
		{"virtual_name", []pinhole{hole("user:a", 1, 40122)}, "user:a", "ftp-1", 40122, "10.0.0.1:40122", ""},
		{"advertised_address", []pinhole{hole("user:a", 1, 40122)}, "user:a", "10.0.0.1", 40122, "10.0.0.1:40122", ""},
		{"wrong_nat_address", []pinhole{hole("user:a", 1, 40122)}, "user:a", "203.0.113.9", 40122, "10.0.0.1:40122", ""},
		{"gateway_name", []pinhole{hole("user:a", 1, 40122)}, "user:a", "gateway.example.com", 40122, "10.0.0.1:40122", ""},
		{"another_virtual_name", []pinhole{hole("user:a", 1, 40122)}, "user:a", "ftp-3", 40122, "", "ftp-1:21's"},
		{"another_port", []pinhole{hole("user:a", 1, 40122)}, "user:a", "ftp-1", 40123, "", "announced now: 40122 of ftp-1:21"},
		{"another_principal", []pinhole{hole("user:a", 1, 40122)}, "user:b", "ftp-1", 40122, "", "announced now: none"},
		{"nothing", nil, "user:a", "ftp-1", 40122, "", "announced now: none"},
		{"two_servers_by_name", []pinhole{hole("user:a", 1, 40122), hole("user:a", 2, 40122)}, "user:a", "ftp-2", 40122, "10.0.0.2:40122", ""},
		{"two_servers_by_name_in_capitals", []pinhole{hole("user:a", 1, 40122), hole("user:a", 2, 40122)}, "user:a", "FTP-2.", 40122, "10.0.0.2:40122", ""},
		{"two_servers_by_address", []pinhole{hole("user:a", 1, 40122), hole("user:a", 2, 40122)}, "user:a", "10.0.0.1", 40122, "10.0.0.1:40122", ""},
		{"two_servers_by_mapped_address", []pinhole{hole("user:a", 1, 40122), hole("user:a", 2, 40122)}, "user:a", "::ffff:10.0.0.1", 40122, "10.0.0.1:40122", ""},
		{"two_servers_undecided", []pinhole{hole("user:a", 1, 40122), hole("user:a", 2, 40122)}, "user:a", "203.0.113.9", 40122, "", "use EPSV or separate users"},
		{"two_sessions_of_one_server", []pinhole{hole("user:a", 1, 40122), twins}, "user:a", "203.0.113.9", 40122, "10.0.0.1:40122", ""},
		{"two_principals", []pinhole{hole("user:a", 1, 40122), hole("user:b", 2, 40122)}, "user:a", "203.0.113.9", 40122, "10.0.0.1:40122", ""},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				table := &pinholes{isVirtual: func(host string) bool { return strings.HasPrefix(strings.ToLower(host), "ftp-") }}
				mustAdd(t, table, tt.holes...)
				if got := table.explains(tt.principal, tt.host, tt.port); got != (tt.want != "") {
					t.Errorf("explains: got %v, want %v", got, tt.want != "")
				}
				p, err := table.take(tt.principal, tt.host, tt.port)
				if tt.want == "" {
					if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error()+fault.HintOf(err), tt.why) || p != (pinhole{}) {
						t.Errorf("got %+v, error %v (%s), want denied with %q", p, err, fault.HintOf(err), tt.why)
					}
					return
				}
				if err != nil || p.target.String() != tt.want || p.local != netip.MustParseAddr("10.0.0.99") {
					t.Fatalf("got %+v, error %v, want target %s", p, err, tt.want)
				}
				if len(tt.holes) == 1 {
					_, err := table.take(tt.principal, tt.host, tt.port)
					if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "has been used") || table.explains(tt.principal, tt.host, tt.port) {
						t.Errorf("the second time: got error %v, want that it has been used", err)
					}
				}
			})
		})
	}
}

func TestPinholeLives30Seconds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &pinholes{}
		mustAdd(t, table, hole("user:a", 1, 40122))
		time.Sleep(30*time.Second - time.Nanosecond) // the bubble's clock, not a wait for anything
		if !table.explains("user:a", "ftp-1", 40122) {
			t.Error("closed before its 30 s were over")
		}
		time.Sleep(time.Nanosecond)
		_, err := table.take("user:a", "ftp-1", 40122)
		if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "30s ago") || fault.HintOf(err) == "" {
			t.Errorf("got error %v, want that it is over", err)
		}
	})
}

func TestPinholeOnePerSession(t *testing.T) {
	table := &pinholes{}
	mustAdd(t, table, hole("user:a", 1, 40122), hole("user:a", 1, 40123))
	if _, err := table.take("user:a", "ftp-1", 40122); fault.KindOf(err) != fault.Denied {
		t.Errorf("the older one: got error %v, want denied", err)
	}
	if _, err := table.take("user:a", "ftp-1", 40123); err != nil {
		t.Errorf("the newer one: %v", err)
	}
	mustAdd(t, table, hole("user:a", 1, 40124))
	table.drop(frame.ID{1})
	if table.explains("user:a", "ftp-1", 40124) {
		t.Error("open after the session's end")
	}
	if len(table.rows) != 0 {
		t.Errorf("%d rows are left after the session's end", len(table.rows))
	}
}

func TestPinholesOfAPrincipalAreBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		table := &pinholes{}
		for i := range byte(maxPinholes) {
			mustAdd(t, table, hole("user:a", i, 40000+uint16(i)))
		}
		err := table.add(hole("user:a", 200, 41000))
		if fault.KindOf(err) != fault.Busy || fault.HintOf(err) == "" {
			t.Errorf("got error %v, want busy with a hint", err)
		}
		mustAdd(t, table, hole("user:b", 201, 41000))                   // another principal
		mustAdd(t, table, hole("user:a", 0, 41000))                     // in place of an older one
		if _, err := table.take("user:a", "ftp-1", 40001); err != nil { // one used
			t.Fatal(err)
		}
		mustAdd(t, table, hole("user:a", 200, 41001))
		time.Sleep(pinholeLife)
		mustAdd(t, table, hole("user:a", 202, 41002)) // the others are over
	})
}

func TestPinholeRefusedAnnouncementIsExplained(t *testing.T) {
	table := &pinholes{}
	table.note(hole("user:a", 1, 3389), fault.New(fault.Denied, "the server announced port 3389, which is Remote Desktop's").WithHint(setRange))
	if table.explains("user:a", "ftp-1", 3389) {
		t.Error("a refused announcement explains")
	}
	_, err := table.take("user:a", "ftp-1", 3389)
	if fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "Remote Desktop") || fault.HintOf(err) != setRange {
		t.Errorf("got error %v with hint %q, want the reason and what to do", err, fault.HintOf(err))
	}
}

// However many ask at once, one gets it.
func TestPinholeOneUseUnderContention(t *testing.T) {
	table := &pinholes{}
	for round := range 50 {
		mustAdd(t, table, hole("user:a", 1, 40122))
		var won atomic.Int32
		var wg sync.WaitGroup
		for range 8 {
			wg.Go(func() {
				if _, err := table.take("user:a", "ftp-1", 40122); err == nil {
					won.Add(1)
				} else if f := (*fault.Error)(nil); !errors.As(err, &f) {
					t.Errorf("got error %v", err)
				}
			})
		}
		wg.Wait()
		if won.Load() != 1 {
			t.Fatalf("round %d: %d connections got it, want 1", round, won.Load())
		}
	}
}
