package settings_test

import (
	"maps"
	"math/rand/v2"
	"strings"
)

// An option is one that the fence takes from Airflow, and how it begins.
type option struct {
	name, section, key string
	plain              []string
}

var (
	options = []option{
		{"base_path", "api", "base_url", []string{"https://airflow.example/a", "http://h:8080", "//h/a/", "h/a", "http://h/a?b#c", "/a"}},
		{"multi_team", "core", "multi_team", []string{"True", "false", "t", "F", "1", "0", "yes", ""}},
		{"token jwks", "api_auth", "trusted_jwks_url", []string{"https://issuer.example/jwks.json", "/keys/jwks.json", "~/jwks.json", ""}},
		{"token public_key", "api_auth", "jwt_private_key_path", []string{"/keys/key.pem", "~/key.pem", ""}},
		{"token secret", "api_auth", "jwt_secret", []string{"s3cret", "hVbxfaSW19Paa9H1lsc7vA==", "~", ""}},
		{"token algorithms", "api_auth", "jwt_algorithm", []string{"HS256", "HS256,HS512", "GUESS", "RS256 , EdDSA", ""}},
		{"token audience", "execution_api", "jwt_audience", []string{"urn:a", "a,b", "a,,b", ",", ""}},
		{"token issuer", "api_auth", "jwt_issuer", []string{"https://airflow.example", "a,b", ""}},
		{"token leeway", "api_auth", "jwt_leeway", []string{"30", "+3", "-1", "1_0", "1__0", "_1", "0x10", "3.0", "99999999999", ""}},
		{"database", "database", "sql_alchemy_conn", []string{"postgresql://u:p@db/airflow", "sqlite:////a.db", "postgresql://u:p%%40@db/a", "postgresql://u:p%40@db/a"}},
	}
	// odd is what may be in a value.
	odd = []string{
		" ", "  ", "\t", "\n", "\r\n", "\r", "\v", "\f", "\x1c", "\x1f", "\u0085", "\u00a0", "\u2028", "\u3000", "\u200b", "\ufeff",
		"%", "%%", "%%%", "%(ref)s", "%(deep)s", "%(missing)s", "%()s", "%(ref)", "%(ref", "%(Ref)s", "%(loop)s",
		"$", "$$", "$VALUE", "${VALUE}", "$VALUEx", "${NONE}", "$NONE", "${", "${}", "${NESTED}", "$EMPTY", "~", "~/", "~root/",
		"#", " # comment", ";", " ; comment", "=", ":", "[", "]", "[x]", "\\", `"`, "'", "{JWT_SECRET_KEY}", "é", "😀", ",", "/",
	}
	variables = map[string]string{
		"HOME": "/home/airflow/", "VALUE": "value", "NESTED": "$VALUE/${VALUE}", "EMPTY": "", "Ref": "~",
	}
	references = "ref = v%%r\ndeep = <%(ref)s>\nloop = %(loop)s\n"
)

type generator struct{ *rand.Rand }

func pick[T any](g *generator, from []T) T { return from[g.IntN(len(from))] }

// value is a plain one, mostly with something odd before, in or behind it.
func (g *generator) value(o option) string {
	text := pick(g, o.plain)
	for range g.IntN(3) {
		at := pick(g, []int{0, len(text), g.IntN(len(text) + 1)})
		text = text[:at] + pick(g, odd) + text[at:]
	}
	return strings.ToValidUTF8(text, "?")
}

// env has the variables that values refer to, and those given.
func env(more ...string) map[string]string {
	all := maps.Clone(variables)
	for i := 0; i < len(more); i += 2 {
		all[more[i]] = more[i+1]
	}
	return all
}

func variable(section, key string) string { return "AIRFLOW__" + strings.ToUpper(section+"__"+key) }

func (g *generator) inEnvironment() question {
	o := pick(g, options)
	return question{o.name, env(variable(o.section, o.key), g.value(o)), ""}
}

func (g *generator) inFile() question {
	o := pick(g, options)
	return question{o.name, env(), "[" + o.section + "]\n" + o.key + pick(g, []string{" = ", "=", ": "}) + g.value(o) + "\n" + references}
}

// oddFile is a file in which little is where it should be.
func (g *generator) oddFile() question {
	o := pick(g, options)
	lines := []string{
		"[" + o.section + "]", "[" + o.section + "]", " [" + o.section + "]", "[" + o.section + "] ; c", "[" + strings.ToUpper(o.section) + "]", "[ " + o.section + " ]",
		"[DEFAULT]", "[other]", "[", "[]", "[]]", "# comment", "  ; comment", "", "", "   ",
		o.key + " = " + g.value(o), o.key + ": " + g.value(o), o.key + "=" + g.value(o), "\t" + o.key + " = " + g.value(o),
		o.key + " =", o.key, strings.ToUpper(o.key) + " = x", "= x", "  continued", "\tcontinued = more", "\u00a0 wide", "other = x", "ref = r", "ref = %(other)s",
	}
	text := pick(g, []string{"[" + o.section + "]", "[" + o.section + "]", "[DEFAULT]", "", "\ufeff[" + o.section + "]"})
	end := pick(g, []string{"\n", "\n", "\r\n", "\r"})
	for range g.IntN(7) {
		text += end + pick(g, lines)
	}
	return question{o.name, env(), text}
}

// precedence sets a few of the places where Airflow looks.
func (g *generator) precedence() question {
	o := pick(g, []option{options[0], options[4], options[9]})
	old := map[string]string{"base_path": "webserver", "token secret": "webserver", "database": "core"}[o.name]
	environment, file := env(), ""
	for _, section := range []string{o.section, old} {
		file += "[" + section + "]\nunrelated = x\n"
		for _, suffix := range []string{"", "_cmd", "_secret"} {
			if suffix != "" && o.name == "base_path" {
				continue // Airflow ignores it, and the fence does not
			}
			if g.IntN(3) == 0 {
				environment[variable(section, o.key+suffix)] = pick(g, o.plain)
			}
			if g.IntN(3) == 0 {
				file += o.key + suffix + " = " + pick(g, o.plain) + "\n"
			}
		}
	}
	return question{o.name, environment, file}
}

// fixed are questions that people are known to have.
func fixed() (all []question) {
	in := func(name string, values ...string) {
		for _, o := range options {
			for _, value := range values {
				if o.name == name {
					all = append(all, question{name, env(variable(o.section, o.key), value), ""},
						question{name, env(), "[" + o.section + "]\n" + o.key + " = " + value + "\n"})
				}
			}
		}
	}
	in("base_path", " https://h/a", "https://h/a ", "https://h/a\n", "\x01https://h/a", "ht\ntps://h/a", "https://h/a//", "https://h//a", "https://h?x", "localhost:8080/a", "https://h/a b")
	in("token secret", "s3cret\n", " s3cret", "s3cret ", "pa$$word", "pa%word", "pa%%word", `"quoted"`, "a#b", "a ; b", "a=b", " ", "\n")
	in("multi_team", " True", "True\n", "true # comment", "#true", "on", "TRUE", "true;")
	in("token leeway", " 10 ", "10\n", "1e1", "10\x1f", "\u300010")
	in("token audience", " a , b ", "a\nb", "a;b", ",,", " ")
	in("token issuer", " a", "a ")
	in("token algorithms", " HS512 ", "hs512", "GUESS,", "GUESS,HS512")
	return all
}
