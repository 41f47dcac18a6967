//! As much of a browser as a login needs: cookies with their paths, redirects, and forms.

use super::SignInError;
use reqwest::header::{COOKIE, LOCATION, SET_COOKIE};
use reqwest::{Client, Response, Url, redirect};

/// More redirects in a row than any login has.
const REDIRECTS_MAX: usize = 10;

/// A browser without history.
pub(super) struct Browser {
    client: Client,
    cookies: Vec<Cookie>,
}

struct Cookie {
    name: String,
    value: String,
    path: String,
}

/// Where following redirects ended.
pub(super) enum Arrived {
    /// At a page.
    Page(Page),
    /// At a URL that begins as the caller said; it was not asked for.
    Destination(Url),
}

/// A page with one form.
pub(super) struct Page {
    url: Url,
    html: String,
}

/// A client that follows nothing by itself.
pub(super) fn client() -> Result<Client, SignInError> {
    Ok(Client::builder().no_proxy().redirect(redirect::Policy::none()).build()?)
}

impl Browser {
    pub(super) fn new() -> Result<Self, SignInError> {
        Ok(Self { client: client()?, cookies: Vec::new() })
    }

    /// Opens `url` and follows redirects up to a page, or to `destination`.
    pub(super) async fn open(&mut self, url: Url, destination: &str) -> Result<Arrived, SignInError> {
        let request = self.client.get(url.clone());
        self.follow(url, request, destination).await
    }

    /// Fills the form of `page` with `values`, over those that it has, and sends it.
    pub(super) async fn submit(
        &mut self,
        page: &Page,
        values: &[(&str, &str)],
        destination: &str,
    ) -> Result<Arrived, SignInError> {
        let url = page.form_action()?;
        let mut fields: Vec<(&str, &str)> = page.inputs();
        for (name, value) in values {
            let field = fields.iter_mut().find(|(known, _)| known == name);
            field.ok_or_else(|| SignInError::unexpected("a form without the field", *name))?.1 = value;
        }
        let request = self.client.post(url.clone()).form(&fields);
        self.follow(url, request, destination).await
    }

    async fn follow(
        &mut self,
        mut url: Url,
        mut request: reqwest::RequestBuilder,
        destination: &str,
    ) -> Result<Arrived, SignInError> {
        for _ in 0..REDIRECTS_MAX {
            let cookies = self.cookies_for(&url);
            if !cookies.is_empty() {
                request = request.header(COOKIE, cookies);
            }
            let answer = request.send().await?;
            self.remember(&answer);
            if !answer.status().is_redirection() {
                let status = answer.status();
                let html = answer.text().await?;
                if !status.is_success() {
                    return Err(SignInError::unexpected(format!("{url} answers {status}"), html));
                }
                return Ok(Arrived::Page(Page { url, html }));
            }
            let location = answer.headers().get(LOCATION).and_then(|value| value.to_str().ok());
            url = location
                .and_then(|location| url.join(location).ok())
                .ok_or_else(|| SignInError::unexpected("a redirect to nowhere", url.as_str()))?;
            if url.as_str().starts_with(destination) {
                return Ok(Arrived::Destination(url));
            }
            request = self.client.get(url.clone());
        }
        Err(SignInError::unexpected("too many redirects", url))
    }

    /// RFC 6265 §5.4, for one host.
    fn cookies_for(&self, url: &Url) -> String {
        let sent = self.cookies.iter().filter(|cookie| {
            url.path()
                .strip_prefix(&cookie.path)
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/') || cookie.path.ends_with('/'))
        });
        sent.map(|cookie| format!("{}={}", cookie.name, cookie.value)).collect::<Vec<_>>().join("; ")
    }

    /// RFC 6265 §5.3, for one host; an expiry is in the past, for sessions are short.
    fn remember(&mut self, answer: &Response) {
        for line in answer.headers().get_all(SET_COOKIE).iter().filter_map(|value| value.to_str().ok()) {
            let mut parts = line.split(';').map(str::trim);
            let Some((name, value)) = parts.next().and_then(|pair| pair.split_once('=')) else { continue };
            let path = parts
                .filter_map(|attribute| attribute.split_once('='))
                .find(|(key, _)| key.eq_ignore_ascii_case("path"))
                .map_or("/", |(_, path)| path);
            self.cookies.retain(|cookie| cookie.name != name || cookie.path != path);
            if !value.is_empty() {
                self.cookies.push(Cookie {
                    name: name.to_owned(),
                    value: value.to_owned(),
                    path: path.to_owned(),
                });
            }
        }
    }
}

impl Page {
    fn form_action(&self) -> Result<Url, SignInError> {
        let form = self.html.split_once("<form").map(|(_, rest)| rest);
        form.and_then(|form| attribute(form, "action"))
            .and_then(|action| self.url.join(action).ok())
            .ok_or_else(|| SignInError::unexpected("a page without a form", &self.html))
    }

    fn inputs(&self) -> Vec<(&str, &str)> {
        let inputs = self.html.split("<input").skip(1);
        inputs
            .filter_map(|input| {
                Some((attribute(input, "name")?, attribute(input, "value").unwrap_or_default()))
            })
            .collect()
    }
}

/// An attribute of the tag whose inside begins `text`. The pages are our own: quoted, without entities.
fn attribute<'a>(text: &'a str, name: &str) -> Option<&'a str> {
    let (tag, _) = text.split_once('>')?;
    let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
    Some(rest.split_once('"')?.0)
}
