package demo

import (
	"time"

	"sallyport.dev/internal/config"
	"sallyport.dev/internal/fault"
	"sallyport.dev/internal/secret"
)

// loopback is any free port on loopback.
var loopback = config.Address{Host: "127.0.0.1"}

func (s *stage) passwordRef() secret.Ref {
	ref, err := secret.ParseRef("file:" + s.path("password"))
	if err != nil {
		panic(err) // the form is ours
	}
	return ref
}

// plantSite is the document of the plant's FTP server.
func (s *stage) plantSite() *config.Config {
	return &config.Config{
		Accounts: []config.Account{{Name: user, Password: config.Password{Ref: s.passwordRef()}}},
		Sites:    []config.Site{{Name: "erp", Path: s.path("plant"), Listen: loopback}},
	}
}

// plantConnector is the document of the plant's connector.
func (s *stage) plantConnector() (*config.Config, error) {
	token, err := secret.ParseRef("file:" + s.path("token"))
	if err != nil {
		return nil, err
	}
	c := &config.Connector{Location: location, Token: token}
	m := config.Mapping{Protocol: config.FTP}
	var g config.Address
	for _, part := range []struct {
		text string
		into interface{ UnmarshalText([]byte) error }
	}{{s.gateway, &g}, {virtual + ":21", &m.Virtual}, {s.site, &m.Internal}} {
		if err := part.into.UnmarshalText([]byte(part.text)); err != nil {
			return nil, fault.As(err, "write the connector's document")
		}
	}
	c.Gateways, c.Mappings = []config.Address{g}, []config.Mapping{m}
	return &config.Config{State: s.path("state", "plant"), Connector: c}, nil
}

// cloud is the document of the gateway and the flows.
func (s *stage) cloud() *config.Config {
	erp := config.FTPServer{
		Address: config.Address{Host: virtual, Port: 21}, Location: location, User: user, Password: s.passwordRef(),
		Security: config.SecurityNone, Mode: config.ModePassive,
	}
	ready := config.Ready{When: config.ReadyUnchanged, For: time.Second}
	retry := config.Retry{Attempts: 8, First: time.Second, Max: 10 * time.Second}
	return &config.Config{
		State:   s.path("state", "cloud"),
		Journal: config.Journal{Embedded: true},
		Gateway: &config.Gateway{Listen: loopback, SOCKS: &config.SOCKS{Listen: loopback}},
		Flows: []config.Flow{
			{
				Name: "orders", Concurrency: 4, Retry: retry,
				Source: config.Source{
					FTP: &erp, Directory: "out", Match: "*", Every: time.Second, Ready: ready,
					After: config.After{Action: config.AfterMove, Move: "archive/${file.name}"},
				},
				Sinks: []config.Sink{{Local: &config.LocalSink{
					LocalFolder: config.LocalFolder{Path: s.path("cloud", "orders")}, Name: "${file.name}", Existing: config.ExistingFail,
				}}},
			},
			{
				Name: "invoices", Concurrency: 4, Retry: retry,
				Source: config.Source{
					Local: &config.LocalFolder{Path: s.path("cloud", "outbox")}, Match: "*", Every: time.Second, Ready: ready,
					After: config.After{Action: config.AfterDelete},
				},
				Sinks: []config.Sink{{FTP: &config.FTPSink{
					FTPServer: erp, Directory: "in", Name: "${file.name}", Existing: config.ExistingReplace,
				}}},
			},
		},
	}
}
