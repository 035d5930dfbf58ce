// Streamlit's default export, made of a class: one instance per mounted element, kept from call to call.
//
// `Component` has a constructor(parentElement), update(data, call) and destroy(); `call` is what Streamlit passes,
// {data, parentElement, setTriggerValue, ...}.

export function componentOf(Component) {
  const mounted = new WeakMap(); // parentElement -> {instance, call}
  return (call) => {
    const { parentElement, data } = call;
    if (!mounted.has(parentElement)) mounted.set(parentElement, { instance: new Component(parentElement) });
    const mount = mounted.get(parentElement);
    mount.call = call;
    mount.instance.update(data, call);
    return () => {
      // Streamlit also runs the clean-up of a call that a later one overtook: that one must not end the instance.
      if (mount.call !== call) return;
      mount.call = null;
      mounted.delete(parentElement);
      mount.instance.destroy();
    };
  };
}
